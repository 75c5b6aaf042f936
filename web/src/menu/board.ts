/**
 * One canteen's menu of one week on the board: what the service has of it, what is changed here and
 * not yet saved, and how it is saved, checked and published. What is changed is kept as it is made,
 * as in every form, and goes through the queue.
 */
import { computed, ref, shallowRef } from "vue"
import { type Command, type View, catalogue } from "@/api/catalogue"
import { isAway } from "@/api/away"
import { type Problem, Refusal, Unreachable, address, ask } from "@/api/http"
import { recordOf } from "@/forms/filling"
import { draftOf, dropDraft, saveDraft } from "@/offline/drafts"
import { type Waiting, discard, submit } from "@/offline/outbox"
import { keep, kept } from "@/offline/store"
import type { Row } from "@/references"
import { type Plan, addDays, boardOf, daysPlanned, isSame, planOf } from "./week"

const WEEK = 7
const LIMIT = 200
const SAVING_MS = 250
const VIEW = "menu_versions"

interface Can {
  command: string
  may: boolean
  problem: Problem | null
}

interface Seen {
  id: string | null
  version: number | null
  versions: Row[]
  findings: Row[]
  before: string | null
  saved: { plan: Plan; ages: string[] }
}

interface Rows {
  items: Row[]
}

/** A menu's rows in a view; one of which nothing is to be said there has none. */
async function rowsOf(view: View, id: string): Promise<Row[]> {
  try {
    return (await ask<Rows>(address(view.detail, {}, id))).data.items
  } catch (reason) {
    if (reason instanceof Refusal && reason.problem.status === 404) return []
    throw reason
  }
}

export function useBoard(unit: string, week: string, canteen: string) {
  const views = catalogue.value?.views ?? {}
  const commands = catalogue.value?.commands ?? {}
  const name = `MenuBoard:${unit}:${week}:${canteen}`

  const id = ref<string | null>(null)
  const version = ref<number | null>(null)
  const versions = shallowRef<Row[]>([])
  const saved = shallowRef<{ plan: Plan; ages: string[] }>({ plan: {}, ages: [] })
  const plan = shallowRef<Plan>({})
  const ages = ref<string[]>([])
  const findings = shallowRef<Row[]>([])
  const can = shallowRef<Can[]>([])
  const before = ref<string | null>(null)
  const ready = ref(false)
  const restored = ref("")
  const busy = ref("")
  const error = shallowRef<unknown>(null)
  const problem = shallowRef<Problem | null>(null)
  const outcome = shallowRef<Waiting | null>(null)
  let key: string = crypto.randomUUID()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** Of the state that the draft began from: whoever has changed the menu since is not overwritten. */
  let base: number | null = null

  const draft = computed(() => versions.value.find((one) => one.status === "draft") ?? null)
  const standing = computed(() => versions.value.find((one) => one.status === "published") ?? null)
  const changed = computed(() => !isSame(plan.value, saved.value.plan) || ages.value.join() !== saved.value.ages.join())
  const planned = computed(() => daysPlanned(plan.value).length > 0)
  const writes = computed(() => mine(id.value ? "ChangeMenu" : "DraftMenu"))
  /** How it is made public: the first time at once, later with the reason why the former is replaced. */
  const publishing = computed(() => (draft.value ? mine(standing.value ? "SupersedeMenu" : "PublishMenu") : null))
  const obstacle = computed(() => can.value.find((one) => one.command === publishing.value?.name && !one.may)?.problem ?? null)

  function mine(command: string): Command | null {
    const known = commands[command]
    return known?.may ? known : null
  }

  async function load(): Promise<void> {
    error.value = null
    try {
      await find()
      await Promise.all([readMenu(), readFindings()])
      await remember()
    } catch (reason) {
      if (!(reason instanceof Refusal || reason instanceof Unreachable)) throw reason
      error.value = reason
      if (isAway(reason)) await recall()
      else return
    }
    await restore()
    ready.value = true
  }

  /** What was seen last is planned on where there is no network. */
  async function remember(): Promise<void> {
    const seen: Seen = { id: id.value, version: version.value, versions: versions.value, findings: findings.value, before: before.value, saved: saved.value }
    await keep(name, JSON.parse(JSON.stringify(seen)))
  }

  async function recall(): Promise<void> {
    const seen = await kept<Seen>(name)
    if (!seen) return
    id.value = seen.id
    version.value = seen.version
    versions.value = seen.versions
    findings.value = seen.findings
    before.value = seen.before
    saved.value = seen.saved
    take(seen.saved.plan, seen.saved.ages)
  }

  /** This week's menu and the last one's, and which canteens there are. */
  async function find(): Promise<void> {
    const weeks = `${week},${addDays(week, -WEEK)}`
    const { data } = await ask<Rows>(address((views[VIEW] as View).path, { unit, week: weeks, limit: LIMIT }))
    const own = data.items.filter((row) => row.organisation === unit)
    const here = own.filter((row) => row.canteen === canteen)
    id.value = here.find((row) => row.week === week)?.id ?? null
    const last = here.find((row) => row.week !== week)
    before.value = last?.id ?? null
    if (!id.value && !ages.value.length) take({}, (last?.age_groups ?? []) as string[])
    if (!id.value) saved.value = { plan: {}, ages: ages.value }
  }

  async function readMenu(): Promise<void> {
    if (!id.value) return
    const [told, board, allowed] = await Promise.all([
      ask<Rows>(address((views[VIEW] as View).detail, {}, id.value)),
      rowsOf(views.menu_board as View, id.value),
      ask<{ items: Can[] }>(address((views[VIEW] as View).can, {}, id.value)),
    ])
    version.value = told.version
    versions.value = told.data.items
    can.value = allowed.data.items
    const shown = draft.value ?? standing.value
    const rows = board.filter((row) => row.status === shown?.status)
    saved.value = { plan: planOf(rows), ages: (shown?.age_groups ?? []) as string[] }
    take(saved.value.plan, saved.value.ages)
  }

  async function readFindings(): Promise<void> {
    if (!id.value) return
    findings.value = await rowsOf(views.menu_findings as View, id.value)
  }

  /** Shows what the service has. */
  function take(fresh: Plan, groups: string[]): void {
    plan.value = fresh
    ages.value = groups
    base = version.value
  }

  async function restore(): Promise<void> {
    const begun = await draftOf(name)
    if (!begun) return
    key = begun.key
    base = begun.version
    restored.value = begun.saved_at
    plan.value = begun.value.plan as Plan
    ages.value = begun.value.ages as string[]
  }

  /** Takes a change over and keeps it on the device. */
  function change(fresh: Plan, groups = ages.value): void {
    plan.value = fresh
    ages.value = groups
    outcome.value = problem.value = null
    clearTimeout(timer)
    timer = setTimeout(() => void write(), SAVING_MS)
  }

  async function write(): Promise<void> {
    clearTimeout(timer)
    if (!changed.value || outcome.value) return
    const value = { unit, week, canteen, plan: plan.value, ages: ages.value }
    await saveDraft({ name, command: "DraftMenu", id: null, key, version: base, value, saved_at: new Date().toISOString(), to: boardOf(week, canteen) })
  }

  /** Back to what the service has. */
  async function undo(): Promise<void> {
    clearTimeout(timer)
    await forget()
    take(saved.value.plan, saved.value.ages)
  }

  async function forget(): Promise<void> {
    await dropDraft(name)
    key = crypto.randomUUID()
    restored.value = ""
  }

  /** Enters what is on the board, and has it checked. */
  async function save(): Promise<void> {
    const command = writes.value
    if (!command) return
    clearTimeout(timer)
    const content = { age_groups: ages.value, days: daysPlanned(plan.value) }
    const body = command.creates ? { organisation: unit, week, canteen, ...content } : content
    if (!(await enter(command, body, base))) return
    await forget()
    await check()
  }

  async function copy(): Promise<void> {
    const command = commands.CopyMenu as Command
    if (await enter(command, { organisation: unit, week, canteen, source: before.value }, null)) await check()
  }

  /** The check is the service's; whoever may not ask for it sees the last one. */
  async function check(): Promise<void> {
    await load()
    const command = mine("CheckMenu")
    if (command && id.value && draft.value && (await enter(command, {}, null))) await load()
    outcome.value = null
  }

  async function publish(reason: string): Promise<boolean> {
    const command = publishing.value
    if (!command) return false
    const done = await enter(command, command.name === "SupersedeMenu" ? { reason } : {}, version.value)
    if (done) await load()
    return done
  }

  /** True if the service has taken it; what waits or was refused is told. */
  async function enter(command: Command, body: Record<string, unknown>, expected: number | null): Promise<boolean> {
    busy.value = command.name
    problem.value = null
    try {
      const thing = command.creates || !id.value ? null : { id: id.value, version: expected, view: VIEW, row: null }
      const made = await submit(recordOf(command, thing, command.creates || expected !== null ? key : crypto.randomUUID(), body))
      if (made.state === "sent") key = crypto.randomUUID()
      return await settled(made)
    } finally {
      busy.value = ""
    }
  }

  async function settled(made: Waiting): Promise<boolean> {
    outcome.value = made
    if (made.state === "sent") return true
    if (made.state === "refused") {
      await discard(made.key)
      outcome.value = null
      problem.value = made.problem
      await write()
      return false
    }
    // It waits in the queue now, and is no draft any more.
    await forget()
    return false
  }

  return {
    id, version, versions, plan, ages, findings, before, ready, restored, busy, error, problem, outcome,
    draft, standing, changed, planned, writes, publishing, obstacle, load, change, write, undo, save, copy, publish,
  } // prettier-ignore
}

export type Board = ReturnType<typeof useBoard>
