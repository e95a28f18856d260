//go:build !race

package faults_test

// raceEnabled is 0 without the race detector.
const raceEnabled = 0
