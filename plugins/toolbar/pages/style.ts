import { createHash } from 'node:crypto'

/** The one style sheet of the pages. */
export const css = `:root{color-scheme:light dark;
--page:#f5f6f8;--card:#fff;--code:#f7f8fb;--line:#e2e5ea;--edge:#8a94a3;--track:#eceef2;--ink:#171b22;--quiet:#586273;--accent:#3552c8;--on-accent:#fff;--hover:#f3f5fa;
--good:#176a41;--good-back:#dcf3e6;--warn:#7a4b00;--warn-back:#fdeecb;--bad:#a51d2d;--bad-back:#fde5e7;--idle:#e9ecf1;
--keyword:#5f3dc4;--string:#1f6f37;--number:#9a4a12;--comment:#657083;
--e0:#3b5bdb;--e1:#0b7f8f;--e2:#9c36b5;--e3:#5c8a0a;--e4:#d0510c;--e5:#c2255c;
--mono:ui-monospace,'SF Mono','Cascadia Code','JetBrains Mono',Menlo,Consolas,monospace}
@media (prefers-color-scheme:dark){:root{
--page:#0e1116;--card:#161a21;--code:#10141a;--line:#272d37;--edge:#707b8b;--track:#222832;--ink:#e6e9ef;--quiet:#9aa5b5;--accent:#9db0ff;--on-accent:#101735;--hover:#1c212a;
--good:#86dfac;--good-back:#12362499;--warn:#f5c86a;--warn-back:#3f2f0a;--bad:#ffaab0;--bad-back:#451a21;--idle:#272e39;
--keyword:#bba6ff;--string:#8fdc9f;--number:#ffc286;--comment:#8d98a9;
--e0:#8ea4ff;--e1:#3fcbdc;--e2:#dc8cf5;--e3:#a6d94a;--e4:#ffa25e;--e5:#ff9dbf}}
*{box-sizing:border-box}
html{scroll-padding-top:4rem}
body{margin:0;background:var(--page);color:var(--ink);font:.875rem/1.45 system-ui,-apple-system,'Segoe UI',sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.wide{max-width:92rem;margin-inline:auto;padding-inline:clamp(.75rem,2.5vw,2rem)}
.top{position:sticky;top:0;z-index:2;background:var(--card);border-bottom:1px solid var(--line)}
.top .wide{display:flex;gap:0 1.5rem;align-items:center;min-height:3rem}
.brand{margin:0;font-weight:700;letter-spacing:-.01em}
.brand a{display:flex;gap:.5rem;align-items:center;color:inherit;text-decoration:none}
.logo rect{fill:#3b5bdb}.logo path{fill:none;stroke:#fff;stroke-width:1.6;stroke-linecap:round}
nav{display:flex;align-self:stretch;gap:.25rem;flex:1;min-width:0}
nav a{display:flex;align-items:center;padding-inline:.7rem;white-space:nowrap;color:var(--quiet);font-weight:500;text-decoration:none;border-block:2px solid transparent}
nav a:hover{color:var(--ink)}
nav [aria-current]{color:var(--ink);font-weight:600;border-bottom-color:var(--accent)}
main{padding-bottom:4rem}
a{color:var(--accent);text-underline-offset:.18em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
#live:focus{outline:0}
.skip{position:absolute;left:-100vw;z-index:3;padding:.5rem 1rem;background:var(--card)}
.skip:focus{left:.5rem;top:.5rem}
.unseen{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
h1{display:flex;flex-wrap:wrap;gap:.25rem .6rem;align-items:center;margin:1.1rem 0 .7rem;font-size:1.3rem;line-height:1.3;letter-spacing:-.015em}
h1 .chip{font-size:.8rem;letter-spacing:0}
h2{display:flex;flex-wrap:wrap;gap:.25rem .5rem;align-items:center;margin:1.4rem 0 .5rem;font-size:.95rem;letter-spacing:-.005em}
h2 .quiet{font-weight:400}h2 .engine{font-weight:650}
h3{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:0 0 .4rem;font-size:.92rem}
.card h2{margin-top:0}
.quiet{color:var(--quiet)}
.above{margin:0 0 .5rem;font-size:.82rem}
.crumbs{margin:1rem 0 -.8rem;font-size:.82rem;color:var(--quiet)}
.card{margin:0;padding:.8rem .95rem;background:var(--card);border:1px solid var(--line);border-radius:8px}
.flush{padding:0;overflow:hidden}
.columns{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:.75rem;align-items:start;margin-top:.75rem}
.wide-columns{grid-template-columns:repeat(auto-fit,minmax(min(100%,29rem),1fr))}
.columns:empty{display:none}
.title{display:flex;flex-wrap:wrap;gap:.4rem .75rem;align-items:center}
.title h1{flex:1;margin-bottom:.6rem}
.filter{display:flex;flex-wrap:wrap;gap:.4rem .75rem;align-items:center}
.filter input[type=search]{width:15rem;max-width:100%;min-height:2rem;padding:.25rem .6rem;border:1px solid var(--edge);border-radius:6px;background:var(--card);color:inherit;font:inherit}
::placeholder{color:var(--quiet);opacity:1}
.check{display:flex;gap:.4rem;align-items:center;min-height:2rem}
.check input{width:1.05rem;height:1.05rem;margin:0;accent-color:var(--accent)}
button{min-height:2rem;padding:.25rem .8rem;border:1px solid var(--edge);border-radius:6px;background:var(--card);color:var(--ink);font:inherit;font-weight:500;cursor:pointer}
button:hover{background:var(--hover)}
.pause{display:flex;gap:.45rem;align-items:center;min-height:1.75rem;margin-left:auto;padding:.1rem .65rem;font-size:.82rem}
.pause[hidden]{display:none}
.dot{width:.5rem;height:.5rem;border-radius:50%;background:var(--good)}
.pause[aria-pressed=true] .dot{background:var(--edge);border-radius:1px}
.pause.lost .dot{background:var(--bad)}
table{width:100%;border-collapse:collapse}
th,td{padding:.38rem .8rem;border-top:1px solid var(--line);text-align:start;vertical-align:middle;font-weight:400}
thead th{padding-block:.4rem;border-top:0;background:var(--code);color:var(--quiet);font-size:.75rem;font-weight:600;letter-spacing:.02em;white-space:nowrap;overflow-wrap:normal}
tbody tr:hover{background:var(--hover)}
.number{text-align:end;white-space:nowrap}
.small{font-size:.82rem}.small th,.small td{padding:.28rem .6rem}
.scroll{overflow-x:auto;max-height:22rem;margin-top:.6rem;border:1px solid var(--line);border-radius:6px}
.requests .what{width:30%}
.requests .what a{color:inherit;font-weight:600;text-decoration:none}
.requests .what a:hover .route{text-decoration:underline}
.requests .outcome{font-size:.82rem}
.method{color:var(--quiet);font:600 .78em/1 var(--mono);letter-spacing:.02em}
.url{color:var(--quiet);font-size:.82rem}
.share{display:block;margin:.2rem 0 .1rem auto}
.track{fill:var(--track)}.share .took{fill:var(--edge);opacity:.55}.share .sql{fill:var(--e0)}
.chips{display:inline-flex;flex-wrap:wrap;gap:.3rem;margin:0}
.chip{display:inline-block;padding:0 .5em;border-radius:4px;background:var(--idle);font-size:.78rem;font-weight:600;line-height:1.55;white-space:nowrap}
.good{background:var(--good-back);color:var(--good)}.warn{background:var(--warn-back);color:var(--warn)}.bad{background:var(--bad-back);color:var(--bad)}
.engine{display:inline-flex;gap:.4em;align-items:center;font-weight:500;white-space:nowrap}
.engine::before{content:'';width:.6em;height:.6em;border-radius:2px;background:currentcolor;background:var(--e)}
.e0{--e:var(--e0)}.e1{--e:var(--e1)}.e2{--e:var(--e2)}.e3{--e:var(--e3)}.e4{--e:var(--e4)}.e5{--e:var(--e5)}
.state{font:600 .78rem var(--mono)}
.facts{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0}
.facts dt{color:var(--quiet);font-size:.75rem}
.facts dd{margin:0}
.facts strong{font-size:1.02rem}
.facts.small{gap:.3rem 1.4rem}
code,pre{font-family:var(--mono);font-size:.92em}
pre{margin:.5rem 0;padding:.6rem .75rem;max-height:32rem;overflow:auto;background:var(--code);border:1px solid var(--line);border-radius:6px;font-size:.8rem;line-height:1.5;tab-size:2}
pre.sql{white-space:pre-wrap}
pre.plan{white-space:pre;border-left:3px solid var(--accent)}
pre code{font-size:1em}
.keyword{color:var(--keyword)}.string{color:var(--string)}span.number{color:var(--number)}.parameter{color:var(--number);font-weight:600}.comment{color:var(--comment);font-style:italic}
.notice{margin:.6rem 0;padding:.5rem .8rem;border-radius:6px;background:var(--idle)}
.notice.bad{background:var(--bad-back)}.notice.warn{background:var(--warn-back)}
.notice a{color:inherit;font-weight:600}
.warnings{display:grid;gap:.35rem;margin:.75rem 0 0;padding:0;list-style:none}
.warnings .notice{margin:0}
.empty{margin:.5rem 0;padding:1.6rem 1rem;border:1px dashed var(--edge);border-radius:8px;color:var(--quiet);text-align:center}
.picture{padding:.6rem .95rem .7rem}
.timeline{display:block;overflow:visible}
.timeline text{font:500 11px system-ui,sans-serif;fill:var(--quiet)}
.timeline .lane{font-weight:600;font-size:12px;fill:var(--ink)}
.grid{stroke:var(--line)}
.timeline .track{fill:var(--track);opacity:.55}
.bar{fill:var(--e);stroke:var(--e);stroke-width:1.5;stroke-linejoin:round}
.bar.failed{--e:var(--bad)}
a:hover .bar{opacity:.7}
.span{fill:var(--e);opacity:.18}
.wait{fill:url(#hatch);stroke:var(--warn);stroke-width:1}
.hatch{fill:var(--warn);opacity:.5}
.commit line{stroke:var(--good);stroke-width:2}.rollback line{stroke:var(--bad);stroke-width:2}
.timeline .commit .end{fill:var(--good);font-weight:700}.timeline .rollback .end{fill:var(--bad);font-weight:700}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin-top:.6rem;color:var(--quiet);font-size:.75rem}
.legend>span{display:inline-flex;gap:.4em;align-items:center}
.mark.commit{color:var(--good);font-weight:700}.mark.rollback{color:var(--bad);font-weight:700}
.statements{padding:0;list-style:none}
.statements li+li{border-top:1px solid var(--line)}
.statement summary{display:grid;grid-template-columns:2.2rem 10rem minmax(0,1fr) auto 9rem 5rem;gap:.75rem;align-items:center;padding:.36rem .8rem;cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
.statement summary:hover,.statement[open] summary{background:var(--hover)}
.statement summary:focus-visible{outline-offset:-2px}
.index{color:var(--quiet);text-align:end;font-size:.8rem}
.index::before{content:'▸';float:left;color:var(--quiet);font-size:.75rem}
[open]>summary .index::before{content:'▾'}
.line{display:block;overflow:hidden;white-space:nowrap;text-overflow:ellipsis;font-size:.8rem}
.marks{display:inline-flex;gap:.3rem}
.where{display:flex;gap:.6rem;align-items:center;min-width:0;overflow:hidden;white-space:nowrap}.where .quiet{font-size:.82rem}
.fall{display:block}.fall .bar{stroke-width:1}
.took{text-align:end;white-space:nowrap}
.slow{color:var(--warn);font-weight:700}
.statement .body{padding:.2rem .8rem .9rem 3.75rem}
.body:target{background:var(--hover)}
.pages{flex-wrap:wrap;margin-bottom:.5rem}.pages a{padding-block:.3rem}
.values{margin:.3rem 0;font-size:.82rem}
.value{margin-right:.8rem}
.explain{display:flex;flex-wrap:wrap;gap:.3rem .75rem;align-items:center;margin-top:.7rem;font-size:.82rem}
.lines{display:grid;gap:.3rem;margin:0;padding:0;list-style:none}
.lines li{display:flex;flex-wrap:wrap;gap:.15rem .6rem;align-items:baseline}
.lines .end{margin-left:auto}.reason{flex:1 1 7rem}
.card>p.quiet{margin:.2rem 0 .5rem}
.pool{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:0 0 .7rem;font-size:.82rem}
.pool svg{flex:0 0 100%;margin-bottom:.25rem}
.pool .used{fill:var(--e0)}.pool .idle{fill:var(--e0);opacity:.3}
.alarm{color:var(--bad)}
.lag{margin:.7rem 0 .3rem}
.lag svg{display:block;border-radius:6px}
.lag figcaption{display:flex;justify-content:space-between;gap:1rem;margin-top:.2rem;font-size:.75rem}
.lag .area{fill:var(--e0);opacity:.16}.lag .curve{fill:none;stroke:var(--e0);stroke-width:1.5}
.while-lagging{fill:var(--warn-back)}.while-down{fill:var(--bad-back)}
details:not(.statement)>summary{display:list-item;padding-block:.2rem;color:var(--accent);font-size:.82rem;cursor:pointer;list-style:disclosure-closed inside}
details[open]:not(.statement)>summary{list-style-type:disclosure-open}
@media (max-width:46rem){
.top .wide{flex-wrap:wrap;padding-top:.45rem}
.brand{flex:1}
.title h1{order:-2}.title form:last-child{order:-1}
nav{order:3;flex:0 0 calc(100% + 1.2rem);justify-content:space-between;gap:0;margin-inline:-.6rem}
nav a{padding:.3rem .6rem}
.filter,.filter input[type=search]{width:100%}
table thead{position:absolute;clip-path:inset(50%)}
.flush table,.flush tbody,.flush tr{display:block}
.flush tr{display:flex;flex-wrap:wrap;gap:.15rem .8rem;align-items:center;padding:.55rem .8rem;border-top:1px solid var(--line)}
.flush tbody tr:first-child{border-top:0}
.flush th,.flush td{padding:0;border:0}
.flush th[scope=row]{flex:0 0 100%}
.requests .share,.fall,td.none{display:none}
td[data-label]::before{content:attr(data-label) ' ';color:var(--quiet)}
.scroll thead,.small thead{position:static;clip-path:none}
.statement summary{grid-template-columns:2.2rem minmax(0,1fr) auto;gap:.1rem .6rem}
.statement summary .line{grid-column:1/-1;grid-row:2}
.statement summary .marks{grid-column:1/-1;grid-row:3}
.statement summary .took{grid-column:3;grid-row:1}
.statement .body{padding-left:.8rem}
}
@media (max-width:64rem) and (min-width:46.01rem){.fall{display:none}.statement summary{grid-template-columns:2.2rem 10rem minmax(0,1fr) auto 5rem}}
@media (prefers-reduced-motion:no-preference){.fresh{animation:fresh 1.2s ease-out}@keyframes fresh{from{background:var(--good-back)}}}
@media (forced-colors:active){.bar,.span,.wait,.track,.engine::before,.dot{forced-color-adjust:none}}
@media print{.top{position:static}.filter,.pause,.explain{display:none}}
`

/** Part of the sheet's address, so that it may be kept for ever. */
export const cssHash = createHash('sha256').update(css).digest('base64url').slice(0, 16)
