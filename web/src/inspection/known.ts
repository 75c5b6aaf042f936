/** Inspections and their checklists, fetched before they are needed and kept for without network. */
import { isAway } from "@/api/away"
import { type View, catalogue } from "@/api/catalogue"
import { Refusal, Unreachable, address, ask } from "@/api/http"
import { session, unitId } from "@/api/session"
import { keep, kept } from "@/offline/store"
import { type Row, find } from "@/references"
import type { Answer, Item } from "./score"

/** An inspection as it stands at the service; `share`: of the points that passes, if known. */
export interface Known {
  title: string
  unit: string
  status: string
  inspectors: string[]
  items: Item[]
  share: string | null
  judged: Answer[]
}

export interface Checklist {
  title: string
  kind: string
  version: number
  items: Item[]
}

interface Happened {
  type: string
  data: Record<string, unknown>
}

interface ItemRow extends Item {
  title: string
  kind: string
  latest_version: number
  place_in_list: number
}

interface Rule {
  slug: string
  now: { values: { programmes?: Record<string, { pass_share: string }> } } | null
}

const RULE = "safety.inspection"
const OPEN = ["scheduled", "under_way"]
const LISTED = "inspections"
const KEPT_MAX = 20
const KEPT_AT = "inspections:at"
/** So long what was brought here is recent enough. */
const KEPT_MS = 600_000
let bringing: Promise<void> | undefined
/** How often something kept has stood in for an answer. */
let stoodIn = 0

export function isOpen(status: string): boolean {
  return OPEN.includes(status)
}

export async function inspectionOf(id: string): Promise<Known> {
  return await keptOr(`inspection:${id}`, async () => {
    const { data } = await ask<{ detail: Row; history: { items: Happened[] } }>(`/portal/things/inspection_register/${id}`)
    const row = data.detail
    const [items, share] = await Promise.all([
      itemsOf(String(row.checklist), Number(row.checklist_version)),
      shareOf(String(row.organisation), String(row.kind)),
    ])
    const judged = judgedIn(data.history.items)
    const { programme, organisation, status, inspectors } = row as Row & { inspectors: string[] }
    return { title: String(programme), unit: String(organisation), status: String(status), inspectors, items, share, judged }
  })
}

/** What is judged since, kept for the next time without network. */
export async function keepInspection(id: string, known: Known): Promise<void> {
  await keep(`inspection:${id}`, known)
}

/** A checklist as it is in force now. */
export async function checklistOf(id: string): Promise<Checklist> {
  return await keptOr(`checklist:${id}`, async () => {
    const { data } = await ask<{ items: ItemRow[] }>(address(view("checklist_items").detail, {}, id))
    const [first] = data.items
    const items = data.items.toSorted((a, b) => a.place_in_list - b.place_in_list).map(itemOf)
    return { title: first?.title ?? "", kind: first?.kind ?? "", version: first?.latest_version ?? 0, items }
  })
}

/** The items of a published version, which never changes. */
export async function itemsOf(checklist: string, version: number): Promise<Item[]> {
  const name = `checklist:${checklist}:${version}`
  const before = await kept<Item[]>(name)
  if (before) return before
  const items = (await inForce(checklist, version)) ?? (await published(checklist, version))
  await keep(name, items)
  return items
}

async function inForce(checklist: string, version: number): Promise<Item[] | null> {
  try {
    const latest = await checklistOf(checklist)
    return latest.version === version ? latest.items : null
  } catch (error) {
    if (error instanceof Refusal && !isAway(error)) return null // withdrawn: what was begun by it goes on
    throw error
  }
}

async function published(checklist: string, version: number): Promise<Item[]> {
  const { data } = await ask<{ items: Happened[] }>(address(view("checklist_register").history, {}, checklist))
  const found = data.items.find((one) => one.type === "ChecklistPublished" && one.data.checklist_version === version)
  return ((found?.data.items as Item[] | undefined) ?? []).map(itemOf)
}

/** The share of the points that passes at a unit; null where it cannot be known now. */
export async function shareOf(unit: string, kind: string): Promise<string | null> {
  const { service } = view("inspection_register")
  try {
    const rules = await keptOr(`rules:${service}:${unit}`, async () => {
      const { data } = await ask<{ items: Rule[] }>(`/api/${service}/rulebook?unit=${unit}&slug=${RULE}`)
      return data.items
    })
    return rules.find((rule) => rule.slug === RULE)?.now?.values.programmes?.[kind]?.pass_share ?? null
  } catch (error) {
    if (error instanceof Refusal || error instanceof Unreachable) return null
    throw error
  }
}

/** My inspections that are still to be made. */
export async function myInspections(): Promise<Row[]> {
  return await keptOr(LISTED, async () => {
    const query = { status: OPEN.join(","), unit: unitId.value, sort: "planned_on", limit: 500 }
    const { data } = await ask<{ items: Row[] }>(address(view("inspection_register").path, query))
    return data.items.filter((row) => (row.inspectors as string[]).includes(session.value.subject))
  })
}

/** Brings what will be inspected onto the device, before somebody goes where there is no network. */
export function keepInspections(): Promise<void> {
  bringing ??= bring().finally(() => (bringing = undefined))
  return bringing
}

async function bring(): Promise<void> {
  const [now, before] = [Date.now(), stoodIn]
  const age = now - ((await kept<number>(KEPT_AT)) ?? 0)
  // A clock set back since then must not keep everything from being brought.
  if (age >= 0 && age < KEPT_MS) return
  try {
    const rows = await myInspections()
    for (const row of rows.slice(0, KEPT_MAX)) await inspectionOf(row.id)
    const offered = await find({ to: "checklist", view: "checklist_register", value: "id" }, "", unitId.value)
    for (const { row } of offered.filter((one) => one.row.latest_version && !one.row.withdrawn).slice(0, KEPT_MAX)) {
      await checklistOf(row.id)
      await shareOf(unitId.value, String(row.kind))
    }
    if (stoodIn === before) await keep(KEPT_AT, now)
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
  }
}

function judgedIn(history: Happened[]): Answer[] {
  const events = history.filter((one) => one.type === "InspectionItemsJudged")
  const results = events.flatMap((one) => one.data.results as Answer[])
  return [...new Map(results.map((one) => [one.code, one])).values()]
}

/** What is asked for now, and kept; without network, or with the service away, what was kept last. */
async function keptOr<T>(name: string, fresh: () => Promise<T>): Promise<T> {
  try {
    const found = await fresh()
    await keep(name, found)
    return found
  } catch (error) {
    const before = isAway(error) ? await kept<T>(name) : undefined
    if (before === undefined) throw error
    stoodIn++
    return before
  }
}

function itemOf({ code, text_zh, text_en, points, veto, severity, category }: Item): Item {
  return { code, text_zh, text_en, points, veto, severity, category }
}

function view(name: string): View {
  return catalogue.value?.views[name] as View
}
