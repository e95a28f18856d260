//go:build race

package faults_test

// raceEnabled is 1 with the race detector, when times say little.
const raceEnabled = 1
