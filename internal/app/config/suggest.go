package config

import "fmt"

// didYouMean returns " (did you mean ...?)" when one of known is close to
// name, else "".
func didYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf(" (did you mean %s?)", n)
	}
	return ""
}

// Suggest returns the key whose name is closest to name, or "" when none is
// close.
func Suggest(name string) string {
	var names []string
	for _, k := range Keys() {
		names = append(names, k.Name)
	}
	return nearest(name, names)
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

// distance is the number of bytes to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
