/**
 * `online`: reads go there. `lagging`: it answers and is too late. `down`: it does not answer, or not in time.
 * `draining`: it is no replica any more (it was promoted); what runs there may finish.
 */
export type ReplicaState = 'online' | 'lagging' | 'down' | 'draining'
