package nodewire

import "time"

// maxDate is the largest time a JavaScript Date holds, in ms around 1970.
const maxDate = 8_640_000_000_000_000

// appendTimestamp appends the date s seconds and ns nanoseconds after 1970.
func appendTimestamp(dst []byte, s, ns int64) []byte {
	if s < -maxDate/1000-2 || s > maxDate/1000 {
		return append(dst, "null"...)
	}
	return appendDate(dst, s*1000+ns/1e6, ns%1e6)
}

// appendDate appends a date as JSON.stringify writes it, with a rest in ns that
// JavaScript drops by rounding towards 1970. An invalid date is null.
func appendDate(dst []byte, ms, ns int64) []byte {
	if ms < 0 && ns > 0 {
		ms++
	}
	if ms < -maxDate || ms > maxDate {
		return append(dst, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	dst = append(dst, '"')
	year := t.Year()
	switch {
	case year < 0:
		dst = appendPadded(append(dst, '-'), -year, 6)
	case year > 9999:
		dst = appendPadded(append(dst, '+'), year, 6)
	default:
		dst = appendPadded(dst, year, 4)
	}
	return t.AppendFormat(dst, `-01-02T15:04:05.000Z"`)
}

func appendPadded(dst []byte, v, width int) []byte {
	var b [8]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, b[:width]...)
}
