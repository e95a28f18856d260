package config

import "fmt"

// DidYouMean returns " (did you mean ...?)" when one of known is close to
// name, else "".
func DidYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf(" (did you mean %s?)", n)
	}
	return ""
}

// nearest returns the known word that takes the fewest edits to reach, if
// that is at most a third of the name.
func nearest(name string, known []string) string {
	best, at := max(1, len(name)/3)+1, ""
	for _, k := range known {
		if d := distance(name, k); d < best {
			best, at = d, k
		}
	}
	return at
}

// distance is the number of bytes to insert, delete or replace, or of
// neighbours to swap (Levenshtein's, with the swaps that typing makes).
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			if a[i] == b[j] {
				next[j+1] = row[j]
				continue
			}
			next[j+1] = 1 + min(row[j], row[j+1], next[j])
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], 1+before[j-1])
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
