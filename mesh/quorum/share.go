package quorum

import (
	"fmt"
	"strconv"
)

// Share is a part of a whole in parts per 10,000, 0 to Whole: 9500 is 95%. It is
// an integer because 0.07*100 is not 7 in binary fractions, and a quorum that
// depends on the last bit of a product is none.
type Share uint16

// Whole is all of it.
const Whole Share = 10_000

// String writes the share in percent: "95%", "99.5%".
func (s Share) String() string {
	return strconv.FormatFloat(float64(s)/100, 'f', -1, 64) + "%"
}

// atLeast is the smallest count that is this share of total or more.
func (s Share) atLeast(total int32) int32 {
	return int32((int64(total)*int64(s) + int64(Whole) - 1) / int64(Whole))
}

// atMost is the largest count that is this share of total or less.
func (s Share) atMost(total int32) int32 {
	return int32(int64(total) * int64(s) / int64(Whole))
}

func (s Share) validate(name string) error {
	if s > Whole {
		return fmt.Errorf("%w: %s is %s, over 100%%", ErrRule, name, s)
	}
	return nil
}
