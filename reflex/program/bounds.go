package program

import "math"

// bounds gives the value as limits on single slots: all of them for "and", or
// the negation of all of them for "or" (a || b is not (not a and not b)).
func (b *Builder) bounds(x Value) (bounds []Bound, negated, ok bool) {
	if list, ok := b.conjunction(nil, x, And, false); ok {
		return list, false, true
	}
	if list, ok := b.conjunction(nil, x, Or, true); ok {
		return list, true, true
	}
	return nil, false, false
}

// conjunction appends the comparisons that are joined by the given operation,
// each of them negated if asked for.
func (b *Builder) conjunction(list []Bound, x Value, join Operation, negate bool) ([]Bound, bool) {
	n := b.nodes[x]
	if n.operation != join {
		return b.comparison(list, x, negate)
	}
	list, ok := b.conjunction(list, n.a, join, negate)
	if !ok {
		return nil, false
	}
	return b.conjunction(list, n.b, join, negate)
}

// comparison appends the bounds that say the same as one comparison of a slot
// with a constant, or as its negation.
func (b *Builder) comparison(list []Bound, x Value, negate bool) ([]Bound, bool) {
	n := b.nodes[x]
	if n.operation == Subtract && negate { // not (1 - equal): the equality itself
		if one, ok := b.ConstantOf(n.a); ok && one == 1 && b.nodes[n.b].operation == Equal {
			return b.comparison(list, n.b, false)
		}
	}
	left, right := b.nodes[n.a], b.nodes[n.b]
	operation, lower, upper := n.operation, n.a, n.b
	if negate { // not (a < b) is b <= a
		switch operation {
		case Less:
			operation = LessOrEqual
		case LessOrEqual:
			operation = Less
		default:
			return nil, false
		}
		left, right, lower, upper = right, left, upper, lower
	}
	strict := operation == Less
	if operation != Less && operation != LessOrEqual && operation != Equal {
		return nil, false
	}
	if k, ok := b.ConstantOf(upper); ok && left.operation == operationSlot {
		list = append(list, limit(left.slot, 1, k, strict))
		if operation == Equal {
			list = append(list, limit(left.slot, -1, -k, false))
		}
		return list, true
	}
	if k, ok := b.ConstantOf(lower); ok && right.operation == operationSlot {
		list = append(list, limit(right.slot, -1, -k, strict))
		if operation == Equal {
			list = append(list, limit(right.slot, 1, k, false))
		}
		return list, true
	}
	return nil, false
}

// limit makes a strict bound inclusive by the next smaller number.
func limit(slot int, sign, k float64, strict bool) Bound {
	if strict {
		k = math.Nextafter(k, math.Inf(-1))
	}
	return Bound{Slot: slot, Sign: sign, Limit: k}
}
