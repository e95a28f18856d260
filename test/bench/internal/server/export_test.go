package server

// FreeAddrs is freeAddrs.
var FreeAddrs = freeAddrs
