package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// timeLayout is how a time is shown, in UTC so that reports from different
// places can be compared.
const timeLayout = "2006-01-02 15:04:05Z"

// timeText returns a time for a person, "-" if there is none.
func timeText(stamp *timestamppb.Timestamp) string {
	if stamp == nil {
		return "-"
	}

	return stamp.AsTime().UTC().Format(timeLayout)
}

// agoText returns a time and how long ago it was, in days once it is that long.
func agoText(stamp *timestamppb.Timestamp, now time.Time) string {
	const day = 24 * time.Hour

	age := max(now.Sub(stamp.AsTime()), 0)
	ago := durationText(uint64(age.Seconds()))
	if age >= 2*day {
		ago = plural(int64(age/day), "day")
	}

	return fmt.Sprintf("%s (%s ago)", timeText(stamp), ago)
}

// group writes a number with a comma between groups of three digits.
func group(number int64) string {
	digits := strconv.FormatInt(number, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}

	var out strings.Builder
	out.WriteString(sign)
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}

	return out.String()
}

// plural counts things by their regular English name.
func plural(count int64, thing string) string {
	if count != 1 {
		thing += "s"
	}

	return group(count) + " " + thing
}

// satText returns an amount of satoshis for a person.
func satText(amount int64) string {
	return group(amount) + " sat"
}

// durationText returns a number of seconds for a person, in its two largest
// units.
func durationText(seconds uint64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)

	case seconds < 3_600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)

	default:
		return fmt.Sprintf("%dh%02dm", seconds/3_600, seconds/60%60)
	}
}
