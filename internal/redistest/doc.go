// Package redistest starts what tests of the Redis adapters need: real Redis
// servers, alone, as a cluster or with sentinels, and Socket.IO servers of
// Node.js. Everything listens on free ports of 127.0.0.1, writes nothing outside
// the test's temporary directory, and ends with the test, or with the test
// process when that is killed.
//
// Where Redis or Node.js is not installed, tests are skipped with one line
// that says so.
package redistest
