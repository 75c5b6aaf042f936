/** What a code says to us: the thing that it labels, a page of ours, a number, or nothing of ours. */
import { catalogue } from "@/api/catalogue"

export type Meaning =
  | { kind: "thing"; view: string; id: string }
  | { kind: "page"; address: string }
  | { kind: "number"; text: string }
  | { kind: "foreign"; text: string }

const LABELLED = /\/go\/(\w+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?$/i
const OF_A_PATH = /^(\/\w[\w/-]*)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i
/** Longer is no number that anybody prints on a label. */
const NUMBER_MAX = 64

/** A label leads to its thing from whatever address it was once printed: things keep their ids. */
export function meaningOf(read: string): Meaning {
  const text = read.trim()
  const { views = {} } = catalogue.value ?? {}
  const [, view = "", id = ""] = LABELLED.exec(text) ?? []
  if (views[view]) return { kind: "thing", view, id: id.toLowerCase() }
  const [, path, named = ""] = OF_A_PATH.exec(text) ?? []
  const known = Object.values(views).find((one) => one.path === `/api${path}`)
  if (known) return { kind: "thing", view: known.name, id: named.toLowerCase() }
  const address = addressIn(text)
  if (address?.origin === location.origin) return { kind: "page", address: address.href }
  if (address?.host || text.length > NUMBER_MAX || text.includes("\n")) return { kind: "foreign", text }
  return { kind: "number", text }
}

function addressIn(text: string): URL | null {
  try {
    return new URL(text)
  } catch {
    return null
  }
}
