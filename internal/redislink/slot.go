package redislink

import "strings"

// slots is how many a Redis Cluster has.
const slots = 16384

// crcTable is of CRC-16/XMODEM, which Redis Cluster uses: polynomial 0x1021.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// Slot returns the slot of a key or shard channel in a Redis Cluster: by what
// is between the first "{" and the next "}", unless nothing is.
func Slot(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if end := strings.IndexByte(key[open+1:], '}'); end > 0 {
			key = key[open+1 : open+1+end]
		}
	}
	var c uint16
	for i := range len(key) {
		c = c<<8 ^ crcTable[byte(c>>8)^key[i]]
	}
	return c % slots
}
