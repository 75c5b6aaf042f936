/** Things that others refer to: found by text or pinyin, named by their title, also offline. */
import { reactive } from "vue"
import { isAway } from "@/api/away"
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
  /** What it is called by itself, where the label tells it apart from others. */
  short?: string | undefined
  row: Row
}

/** Somebody with a post. */
interface Person extends Row {
  name: string
  roles: string[]
}

interface Page {
  items: Row[]
  next: string | null
}

const SHOWN_MAX = 30
/** So many names are asked for together; people are kept under a name of their own. */
const IDS_MAX = 100
const PEOPLE = "people"
const SIGN_IN_NAME = /^[A-Za-z0-9._@-]{2,100}$/
/** Columns that name a thing by themselves, where others of its title only tell it apart. */
const NAMES = ["name", "title"]
const named = reactive(new Map<string, string>())
const asked = new Set<string>()
const wanted: string[] = []
const plain = { yes: "✓", no: "✗", names: (id: string) => named.get(id), files: () => "" }

/** What a row is called: the values of its view's title columns. */
export function titleOf(view: View, row: Row): string {
  const columns = view.title.map((name) => view.columns.find((column) => column.name === name))
  const texts = columns.map((column) => column && shown(column, row[column.name], plain))
  return texts.filter(Boolean).join(" · ") || row.id.slice(0, 8)
}

/** The row of a thing's detail, or the first of several. */
export function firstRow(view: View, data: unknown): Row | undefined {
  return view.many ? (data as Partial<Page>).items?.[0] : (data as Row)
}

function shortOf(view: View, row: Row): string | undefined {
  const column = NAMES.find((name) => view.title.includes(name) && row[name])
  return column && String(row[column])
}

function personOf(person: Person): Choice {
  const roles = person.roles.map((role) => catalogue.value?.roles[role] ?? role).join("、")
  const short = person.name || person.id
  return { value: person.id, label: [short, roles].filter(Boolean).join(" · "), short, row: person }
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
  if (to.finder) return lookTogether(id, to.finder)
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
    if (row) await remember(view.name, [choiceOf(view, id, row)])
    return row ?? null
  } catch (error) {
    if (isAway(error)) return await storedRow(view, id)
    if (error instanceof Refusal) return null
    throw error
  }
}

/** Names that a page wants at once are asked for at once. */
function lookTogether(id: string, finder: string): void {
  if (asked.has(id)) return
  asked.add(id)
  if (!wanted.length) setTimeout(() => void lookPeople(finder, wanted.splice(0)))
  wanted.push(id)
}

async function lookPeople(finder: string, ids: string[]): Promise<void> {
  const stored = await Promise.all(ids.map(async (id) => (await database()).get("rows", [PEOPLE, id])))
  for (const one of stored) if (one) named.set(one.id, personOf(one.row as Person).short ?? one.id)
  try {
    for (let n = 0; n < ids.length; n += IDS_MAX) {
      const some = ids.slice(n, n + IDS_MAX).join(",")
      const { data } = await ask<{ items: Person[] }>(address(finder, { ids: some }))
      await remember(PEOPLE, data.items.map(personOf))
    }
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
  }
}

async function storedRow(view: View, id: string): Promise<Row | null> {
  const stored = await (await database()).get("rows", [view.name, id])
  return (stored?.row as Row | undefined) ?? null
}

/** Rows that a reference may point at, found by `text`; without network, of those seen before. */
export async function find(to: Reference, text: string, unit: string): Promise<Choice[]> {
  if (to.finder) return await findPeople(to.finder, text, unit)
  const view = viewOf(to)
  if (!view) return []
  // Whoever picks a unit looks among all that they may see, else within the unit they work for.
  const query = { q: text, limit: SHOWN_MAX, unit: to.to === "unit" ? "" : unit }
  try {
    const { data } = await ask<Page>(address(view.path, query))
    const found = choices(view, to, data.items)
    await remember(view.name, found)
    return found
  } catch (error) {
    if (!isAway(error)) throw error
    return await remembered(view.name, text)
  }
}

async function findPeople(finder: string, text: string, unit: string): Promise<Choice[]> {
  const found = await peopleOf(finder, text, unit)
  // Whoever holds no post yet, or was never seen here, is known by nothing but what is typed.
  const typed = SIGN_IN_NAME.test(text) && !found.some((one) => one.value === text)
  return typed ? [...found, { value: text, label: text, row: { id: text } }] : found
}

async function peopleOf(finder: string, text: string, unit: string): Promise<Choice[]> {
  if (!unit) return await remembered(PEOPLE, text)
  try {
    const { data } = await ask<{ items: Person[] }>(address(finder, { q: text, limit: SHOWN_MAX, unit }))
    const found = data.items.map(personOf)
    await remember(PEOPLE, found)
    return found
  } catch (error) {
    if (!isAway(error)) throw error
    return await remembered(PEOPLE, text)
  }
}

function choiceOf(view: View, value: string, row: Row): Choice {
  return { value, label: titleOf(view, row), short: shortOf(view, row), row }
}

function choices(view: View, to: Reference, rows: Row[]): Choice[] {
  const found = new Map<string, Choice>()
  for (const row of rows) {
    const value = to.value === "key" ? String(row.key ?? row.id) : row.id
    if (!found.has(value)) found.set(value, choiceOf(view, value, row))
  }
  return [...found.values()]
}

async function remember(view: string, found: Choice[]): Promise<void> {
  const store = (await database()).transaction("rows", "readwrite").store
  for (const { value, label, short, row } of found) {
    named.set(value, short ?? label)
    await store.put({ view, id: value, text: label, row: { ...row } })
  }
}

async function remembered(view: string, text: string): Promise<Choice[]> {
  const range = IDBKeyRange.bound([view, ""], [view, "\uffff"])
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
  await remember(view.name, choices(view, to, data.items))
}

/** How the catalogue refers to units, wherever it does. */
export function unitReference(): Reference | null {
  return referenceTo("unit")
}

/** What somebody is called, by their sign-in name: that itself as long as nothing better is known. */
export function personName(subject: string): string {
  return nameOf(subject, referenceTo("person") ?? undefined) ?? subject
}

function referenceTo(kind: string): Reference | null {
  const views = Object.values(catalogue.value?.views ?? {})
  const columns = views.flatMap((view) => view.columns)
  const found = columns.find(({ ref }) => ref?.to === kind && (ref.view || ref.finder))
  return found?.ref ?? null
}
