"use strict";

// Values that JSON has not, in JSON.

function pack(v) {
  if (v === undefined) return { $undefined: true };
  if (v === null || typeof v !== "object") return typeof v === "bigint" ? Number(v) : v;
  if (Buffer.isBuffer(v) || v instanceof Uint8Array) return { $binary: Buffer.from(v).toString("base64") };
  if (v instanceof ArrayBuffer) return { $binary: Buffer.from(v).toString("base64") };
  if (v instanceof Date) return { $date: v.getTime() };
  if (v instanceof Map || v instanceof Set) return [...v].map(pack);
  if (Array.isArray(v)) return v.map(pack);
  return Object.fromEntries(Object.entries(v).map(([k, e]) => [k, pack(e)]));
}

function unpack(v) {
  if (v === null || typeof v !== "object") return v;
  if (Array.isArray(v)) return v.map(unpack);
  if ("$binary" in v) return Buffer.from(v.$binary, "base64");
  if ("$date" in v) return new Date(v.$date);
  if ("$undefined" in v) return undefined;
  return Object.fromEntries(Object.entries(v).map(([k, e]) => [k, unpack(e)]));
}

module.exports = { pack, unpack };
