package client

// What tests look at from outside.
var (
	Backoff      = backoff
	ConnectData  = connectData
	ParseRefusal = parseRefusal
	ReplyError   = replyError
)
