// Package dbc reads what a robot needs of a DBC file, the description of a CAN bus:
// messages, where their signals stand and what they mean, and how often they come.
//
// The grammar is that of go.einride.tech/can/pkg/dbc, and this is the one room that
// imports it. What the library makes of a file is not taken as it is: it passes over the
// line behind one that it does not know, refuses a whole file for one statement, and
// reads text in UTF-8 alone. So the file is cut into statements here, and it is given
// those that are needed, each message by itself. What cannot be read is a fault of what
// needs it, with its line; nothing is left out silently, because a value type that is
// left out is a number that is another one.
//
// It imports package hal's vocabulary. What must never happen here: input or output, a
// clock, a goroutine. It is for the start of a program and not for the loop.
package dbc
