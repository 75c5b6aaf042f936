/** Places that repairs were reported from before, the most frequent first; also without network. */
import type { View } from "@/api/catalogue"
import { Refusal, Unreachable, address, ask } from "@/api/http"
import { keep, kept } from "@/offline/store"
import type { Row } from "@/references"

const LOOKED_AT = 200
const OFFERED = 6

export async function placesOf(view: View, unit: string): Promise<string[]> {
  const name = `places:${unit}`
  try {
    const { data } = await ask<{ items: Row[] }>(address(view.path, { unit, limit: LOOKED_AT }))
    const places = frequent(data.items.map((row) => String(row.place ?? "")))
    await keep(name, places)
    return places
  } catch (error) {
    if (error instanceof Refusal || error instanceof Unreachable) return (await kept<string[]>(name)) ?? []
    throw error
  }
}

function frequent(all: string[]): string[] {
  const counts = new Map<string, number>()
  for (const place of all) if (place) counts.set(place, (counts.get(place) ?? 0) + 1)
  const sorted = [...counts].sort(([, a], [, b]) => b - a)
  return sorted.slice(0, OFFERED).map(([place]) => place)
}
