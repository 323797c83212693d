/** The one style sheet of the pages; the policy names its hash. */
export const css = `:root{color-scheme:light dark;--page:#f6f7f9;--field:#fff;--card:#fff;--line:#d9dee6;--edge:#7b8796;--text:#1a212b;--quiet:#566172;--accent:#3451b2;--on-accent:#fff;--good:#12603b;--good-back:#daf3e5;--bad:#a11b2b;--bad-back:#fde7e8;--idle:#e8ebf0}
@media (prefers-color-scheme:dark){:root{--page:#12151a;--field:#12151a;--card:#1b2027;--line:#323a46;--edge:#7e8a9b;--text:#e7ebf0;--quiet:#a4afbd;--accent:#9db2ff;--on-accent:#111a3d;--good:#8fe3b4;--good-back:#143a28;--bad:#ffb0b4;--bad-back:#471c22;--idle:#2b323d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
.wide{max-width:56rem;margin-inline:auto;padding-inline:clamp(1rem,4vw,2rem)}
.top{background:var(--card);border-bottom:1px solid var(--line)}
.top .wide{display:flex;flex-wrap:wrap;gap:0 1.5rem;align-items:center;justify-content:space-between;padding-block:.5rem}
.brand{margin:0;font-weight:700}
.brand a{color:inherit;text-decoration:none}
nav{display:flex;gap:0 1.25rem}
nav a,.brand a{display:inline-block;padding-block:.6rem}
a{color:var(--accent);text-underline-offset:.2em}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-100vw;padding:.5rem 1rem;background:var(--card)}
.skip:focus{left:.5rem;top:.5rem}
h1{margin:1.75rem 0 .5rem;font-size:clamp(1.5rem,4vw,1.9rem);line-height:1.25;letter-spacing:-.015em}
h2{margin:0;font-size:1.05rem;line-height:1.4}
.group h2{font-size:.95rem}
.title{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:end;justify-content:space-between}
.title .button{margin:1.25rem 0 .25rem}
nav [aria-current]{color:var(--text);font-weight:600;text-decoration-thickness:2px}
.quiet,.hint,footer{color:var(--quiet);font-size:.9rem}
.hint,.error{margin:.3rem 0 0}
.error{color:var(--bad);font-size:.9rem;font-weight:600}
.card{margin:0 0 1rem;padding:1rem 1.15rem;background:var(--card);border:1px solid var(--line);border-radius:10px}
.flags{margin:0;padding:0;list-style:none}
.flag{display:flex;gap:1rem;align-items:center;justify-content:space-between;margin-bottom:.6rem}
.flag .what{min-width:0}
.flag p{margin:.2rem 0 0}
.flag .what>p:not(.quiet){display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden}
.flag form{flex:none}
.flag button{min-width:6.75rem}
.badge{display:inline-block;padding:0 .6em;border-radius:999px;background:var(--idle);color:var(--text);font-size:.8rem;font-weight:600;line-height:1.6;letter-spacing:0;vertical-align:.1em}
.badge.on{background:var(--good-back);color:var(--good)}
.banner{margin:1.25rem 0 0;padding:.75rem 1rem;border-left:4px solid;border-radius:6px}
.banner p{margin:0}
.banner ul{margin:.25rem 0 0;padding-left:1.2rem}
.banner a{color:inherit}
.banner.success{background:var(--good-back);color:var(--good)}
.banner.notice{background:var(--idle);color:var(--text);border-color:var(--accent)}
.banner.problem{background:var(--bad-back);color:var(--bad)}
.unseen{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.pages ul{display:flex;flex-wrap:wrap;gap:.25rem;align-items:center;margin:1rem -.5rem;padding:0;list-style:none}
.pages a{display:inline-block;min-width:2.75rem;padding:.6rem .5rem;text-align:center}
.entries{margin:1rem 0 0;padding:0;list-style:none}
.entry{padding:1.1rem 0 1.25rem;border-top:1px solid var(--line)}
.entry>*{margin:0 0 .4rem}
.entry>.card{margin:.6rem 0 .8rem}
.empty{margin:0;padding:2rem 1rem;border:1px dashed var(--edge);border-radius:10px;color:var(--quiet);text-align:center}
.search div{display:flex;gap:.5rem;margin-top:.25rem}
.search label,.field label{display:block;font-size:.9rem;font-weight:600}
fieldset{min-width:0}
legend{float:left;width:100%;margin-bottom:.75rem;padding:0;font-size:1.05rem;font-weight:700}
legend+*{clear:both}
.field{margin-top:.9rem;min-width:0}
.group{margin-top:1.25rem;padding-top:1rem;border-top:1px solid var(--line)}
.group h2+*{margin-top:-.25rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));column-gap:1.25rem}
.group.pair .field{margin-top:0;margin-bottom:.5rem}
.variant{display:grid;grid-template-columns:2fr 6rem 3fr;gap:0 .75rem;margin-top:.75rem}
.variant .field{margin-top:0}
.check{display:flex;gap:.6rem;align-items:center;margin:0;min-height:2.75rem;font-weight:600}
.check input{width:1.5rem;height:1.5rem;min-height:0;margin:0;accent-color:var(--accent)}
.check label{padding-block:.6rem}
input,select,textarea{width:100%;min-height:2.75rem;margin-top:.25rem;padding:.5rem .7rem;border:1px solid var(--edge);border-radius:6px;background:var(--field);color:inherit;font:inherit}
.search{margin-top:.5rem}
.search input{margin:0;min-width:0}
textarea{display:block;resize:vertical}
.variant textarea{font-family:ui-monospace,monospace;font-size:.92rem}
[aria-invalid=true]{border-color:var(--bad);box-shadow:0 0 0 1px var(--bad)}
button,.button{display:inline-block;min-height:2.75rem;padding:.6rem 1.1rem;border:1px solid transparent;border-radius:6px;font:inherit;font-weight:600;line-height:1.4;text-align:center;text-decoration:none;white-space:nowrap;cursor:pointer}
.primary{background:var(--accent);color:var(--on-accent)}
.plain{background:var(--card);color:var(--text);border-color:var(--edge)}
.danger{background:var(--card);color:var(--bad);border-color:var(--bad)}
button:hover,.button:hover{text-decoration:underline;text-underline-offset:.2em}
fieldset>button{margin-top:1rem}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin-block:1.25rem 2rem}
.aside p{margin:.25rem 0 .9rem;color:var(--quiet)}
.table{padding:0;overflow-x:auto}
table{width:100%;border-collapse:collapse;font-size:.93rem}
caption{padding:.75rem 1rem;font-weight:600;text-align:start}
th,td{padding:.5rem 1rem;border-top:1px solid var(--line);text-align:start;vertical-align:top;white-space:pre-line}
th{font-weight:600;overflow-wrap:normal}
time{white-space:nowrap}
.entry caption{position:absolute;clip-path:inset(50%)}
.entry thead th{border-top:0}
footer{padding-block:1.5rem}
#live[data-version]{position:sticky;top:.5rem;z-index:1}
html:has(.notice){scroll-padding-top:6rem}
@media (min-width:34.01rem){table{table-layout:fixed}th:first-child{width:30%}}
@media (max-width:34rem){.variant{grid-template-columns:1fr 6rem}.variant .field:last-child{grid-column:1/-1;margin-top:.4rem}.variant{padding-bottom:.9rem;border-bottom:1px solid var(--line)}th,td{padding-inline:.6rem}}
`
