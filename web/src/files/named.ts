/** Files are named by the SHA-256 of what is in them, wherever in a record they stand. */
export function hashesIn(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) found.add(value)
  else if (value && typeof value === "object") for (const one of Object.values(value)) hashesIn(one, found)
  return found
}
