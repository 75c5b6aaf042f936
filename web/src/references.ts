/** Things that others refer to: found by text or pinyin, named by their title, also offline. */
import { reactive } from "vue"
import { type Reference, type View, catalogue } from "@/api/catalogue"
import { Refusal, Unreachable, address, ask } from "@/api/http"
import { session } from "@/api/session"
import { shown } from "@/format"
import { database } from "@/offline/store"

export interface Row {
  id: string
  key?: string
  [column: string]: unknown
}

export interface Choice {
  value: string
  label: string
  row: Row
}

interface Page {
  items: Row[]
  next: string | null
}

const SHOWN_MAX = 30
/** Columns that name a thing by themselves, where others of its title only tell it apart. */
const NAMES = ["name", "title"]
const named = reactive(new Map<string, string>())
const asked = new Set<string>()
const plain = { yes: "✓", no: "✗", names: (id: string) => named.get(id), files: () => "" }

/** What a row is called: the values of its view's title columns. */
export function titleOf(view: View, row: Row): string {
  const columns = view.title.map((name) => view.columns.find((column) => column.name === name))
  const texts = columns.map((column) => column && shown(column, row[column.name], plain))
  return texts.filter(Boolean).join(" · ") || row.id.slice(0, 8)
}

/** The row of a thing's detail, or the first of several. */
export function firstRow(view: View, data: unknown): Row | undefined {
  return view.many ? (data as Page).items[0] : (data as Row)
}

function shortOf(view: View, row: Row): string | undefined {
  const column = NAMES.find((name) => view.title.includes(name) && row[name])
  return column && String(row[column])
}

function viewOf(to: Reference): View | null {
  return (to.view && catalogue.value?.views[to.view]) || null
}

/** The name of what an id stands for, if it is known by now; else it is looked up. */
export function nameOf(id: string, to?: Reference): string | undefined {
  const known = named.get(id)
  if (known === undefined && to) void look(id, to)
  return known
}

async function look(id: string, to: Reference): Promise<void> {
  const view = viewOf(to)
  if (!view || to.value === "key" || asked.has(id)) return
  asked.add(id)
  // Units are learnt together: a list may name a hundred of them.
  if (to.to === "unit") await learnUnits()
  if (named.has(id)) return
  const stored = await storedRow(view, id)
  if (stored) named.set(id, shortOf(view, stored) ?? titleOf(view, stored))
  await rowOf(to, id)
}

/** What an id stands for, as it is now; without network as it was last seen, if it was. */
export async function rowOf(to: Reference, id: string): Promise<Row | null> {
  const view = viewOf(to)
  if (!view) return null
  try {
    const row = firstRow(view, (await ask<unknown>(address(view.detail, {}, id))).data)
    if (row) await remember(view, [{ value: id, label: titleOf(view, row), row }])
    return row ?? null
  } catch (error) {
    if (error instanceof Refusal) return null
    if (error instanceof Unreachable) return await storedRow(view, id)
    throw error
  }
}

async function storedRow(view: View, id: string): Promise<Row | null> {
  const stored = await (await database()).get("rows", [view.name, id])
  return (stored?.row as Row | undefined) ?? null
}

/** Rows that a reference may point at, found by `text`; without network, of those seen before. */
export async function find(to: Reference, text: string, unit: string): Promise<Choice[]> {
  const view = viewOf(to)
  if (!view) return []
  // Whoever picks a unit looks among all that they may see, else within the unit they work for.
  const query = { q: text, limit: SHOWN_MAX, unit: to.to === "unit" ? "" : unit }
  try {
    const { data } = await ask<Page>(address(view.path, query))
    const found = choices(view, to, data.items)
    await remember(view, found)
    return found
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error
    return await remembered(view, text)
  }
}

function choices(view: View, to: Reference, rows: Row[]): Choice[] {
  const found = new Map<string, Choice>()
  for (const row of rows) {
    const value = to.value === "key" ? String(row.key ?? row.id) : row.id
    if (!found.has(value)) found.set(value, { value, label: titleOf(view, row), row })
  }
  return [...found.values()]
}

async function remember(view: View, found: Choice[]): Promise<void> {
  const store = (await database()).transaction("rows", "readwrite").store
  for (const { value, label, row } of found) {
    named.set(value, shortOf(view, row) ?? label)
    await store.put({ view: view.name, id: value, text: label, row: { ...row } })
  }
}

async function remembered(view: View, text: string): Promise<Choice[]> {
  const range = IDBKeyRange.bound([view.name, ""], [view.name, "\uffff"])
  const rows = await (await database()).getAll("rows", range)
  const fitting = rows.filter((row) => row.text.toLowerCase().includes(text.toLowerCase()))
  return fitting
    .slice(0, SHOWN_MAX)
    .map((row) => ({ value: row.id, label: row.text, row: row.row as Row }))
}

let units: Promise<void> | undefined

/** The names of the units that this person works for, and of those below, in one request. */
export function learnUnits(): Promise<void> {
  units ??= fetchUnits().catch((error: unknown) => {
    units = undefined
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
  })
  return units
}

async function fetchUnits(): Promise<void> {
  for (const unit of session.value.units) named.set(unit.id, unit.name)
  const to = unitReference()
  const view = to && viewOf(to)
  if (!view) return
  const { data } = await ask<Page>(address(view.path, { limit: 500 }))
  await remember(view, choices(view, to, data.items))
}

/** How the catalogue refers to units, wherever it does. */
export function unitReference(): Reference | null {
  const views = Object.values(catalogue.value?.views ?? {})
  const columns = views.flatMap((view) => view.columns)
  return columns.find((column) => column.ref?.to === "unit" && column.ref.view)?.ref ?? null
}
