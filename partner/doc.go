// Package partner forecasts and plays the adversary. It rolls the manual's model
// forward for every option under disturbances: first the corner cases, then a
// greedy adversary, then seeded samples, until the budget of roll-outs is spent or
// the caller cuts it short, and says per value what is the worst and what is to be
// expected. An output with a rate begins where it is and is on its way to the option's
// value, as the spine will move it; any other has that value from the first step on.
//
// It may import dancer and reflex/program, and the standard library. It is pure:
// the same arguments give the same assessments to the last bit on every machine,
// and a forecast that was cut short is the one whose budget is what it completed.
//
// What must never happen here: I/O, a clock, randomness other than from the
// seed, an allocation per roll-out, a choice between options (that is the
// ladder's), and a roll-out that takes an invalid signal for a good one.
package partner
