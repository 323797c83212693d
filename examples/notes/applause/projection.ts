import { Projection } from 'fastify-sqlassist/events'

const ADD = 'update applause set claps = claps + 1, last_clap_at = ? where id = ?'
const SUBTRACT = 'update applause set claps = claps - 1 where id = ?'

/**
 * How much applause each note has got: a table that is made of the events, to be read with one query. Each event counts
 * exactly once, as the row and how far the projection has come are committed together.
 */
export const applauseView = new Projection({
  name: 'applause',
  create: em =>
    em.execute(`create table if not exists applause (
      id uuid primary key, note_id integer not null unique, claps integer not null default 0, last_clap_at timestamptz)`),
  handle({ originatorId: id, topic, timestamp, data }, em) {
    switch (topic) {
      case 'Applause.Opened': {
        const { note } = data as { note: number }
        return em.execute('insert into applause (id, note_id) values (?, ?)', [id, note])
      }
      case 'Applause.Clapped':
        return em.execute(ADD, [timestamp, id])
      case 'Applause.TakenBack':
        return em.execute(SUBTRACT, [id])
    }
  },
})
