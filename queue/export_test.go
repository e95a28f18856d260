package queue

// DecodeEntry is decode, for fuzzing.
var DecodeEntry = decode
