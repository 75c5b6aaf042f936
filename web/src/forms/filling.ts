/** A form while it is filled in: its draft, its key, what is wrong, and what became of it. */
import { type Ref, nextTick, ref, shallowRef, watch } from "vue"
import { useI18n } from "vue-i18n"
import type { Command } from "@/api/catalogue"
import type { Language, Problem } from "@/api/http"
import { session, unitId } from "@/api/session"
import { prepared } from "@/files/device"
import { draftName, draftOf, dropDraft, saveDraft } from "@/offline/drafts"
import { type Waiting, discard, has, submit } from "@/offline/outbox"
import { isFull } from "@/offline/room"
import { type Errors, type Value, assembled, begun, isEmpty, placed, wrong } from "./model"

const SAVING_MS = 250

export interface Thing {
  id: string
  version: number | null
  view: string | null
  row: Record<string, unknown> | null
}

/** `given`: what it begins with; `meant`: what was clicked just now, whatever was begun before. */
export function useFilling(command: Command, thing: Ref<Thing | null>, given: Value, meant: Value = {}) {
  const { t, locale } = useI18n()
  const value = ref<Value>(begun(command.fields, given))
  const errors = ref<Errors>({})
  const problem = shallowRef<Problem | null>(null)
  const outcome = shallowRef<Waiting | null>(null)
  const restored = ref("")
  const busy = ref(false)
  const name = draftName(command.name, thing.value?.id ?? null)
  let key: string = crypto.randomUUID()
  let timer: ReturnType<typeof setTimeout> | undefined
  let touched = false
  /** The version that the draft began from: whoever has changed the thing since is not overwritten. */
  let base: number | null = null

  async function restore(): Promise<void> {
    const draft = await draftOf(name)
    // Closed while it was being sent: it waits in the queue now, or is entered.
    if (draft && (await has(draft.key))) await dropDraft(name)
    else if (draft) {
      value.value = { ...value.value, ...draft.value, ...meant }
      key = draft.key
      base = draft.version
      restored.value = draft.saved_at
      await nextTick()
    }
    watch(value, save, { deep: true })
    watch(unitId, follow)
  }

  /** Whoever switches the unit means the form that is open, too, unless it says another. */
  function follow(now: string, before: string): void {
    if (value.value.organisation === before) value.value = { ...value.value, organisation: now }
  }

  function save(): void {
    touched = true
    clearTimeout(timer)
    timer = setTimeout(() => void write(), SAVING_MS)
  }

  async function write(): Promise<void> {
    if (!touched || outcome.value) return
    const saved_at = new Date().toISOString()
    const { id = null, version = null } = thing.value ?? {}
    const draft = { name, command: command.name, id, key, version: base ?? version, value: value.value, saved_at }
    await saveDraft(draft).catch(tolerateFull)
  }

  async function begin(): Promise<void> {
    clearTimeout(timer)
    await dropDraft(name)
    key = crypto.randomUUID()
    restored.value = ""
    errors.value = {}
    problem.value = null
    outcome.value = null
    base = null
    value.value = begun(command.fields, given)
    await nextTick()
    clearTimeout(timer)
    touched = false
  }

  /** Sends the record; true if there is nothing left to correct. */
  async function send(): Promise<boolean> {
    problem.value = null
    busy.value = true
    try {
      await prepared()
      errors.value = wrong(command.fields, value.value, (slug, values) => t(slug, values ?? {}))
      if (!isEmpty(errors.value)) return false
      const begunFrom = thing.value && { ...thing.value, version: base ?? thing.value.version }
      return await settled(await submit(recordOf(command, begunFrom, key, assembled(command.fields, value.value))))
    } catch (error) {
      tolerateFull(error)
      return false
    } finally {
      busy.value = false
    }
  }

  async function settled(made: Waiting): Promise<boolean> {
    clearTimeout(timer)
    if (made.state !== "refused") {
      outcome.value = made
      await dropDraft(name)
      return true
    }
    // Nothing was entered: the form is still open, so it is corrected here and not in the queue.
    await write()
    await discard(made.key)
    problem.value = made.problem
    errors.value = placed(byField(made.problem, locale.value as Language), value.value)
    return false
  }

  return { value, errors, problem, outcome, restored, busy, restore, begin, send, write }
}

/** Without room nothing is kept, and every page says so; what is filled in still stands there. */
function tolerateFull(error: unknown): void {
  if (!isFull(error)) throw error
}

/** A record as it waits in the outbox. */
export function recordOf(command: Command, thing: Thing | null, key: string, body: Value): Waiting {
  return {
    key,
    subject: session.value.subject,
    command: command.name,
    label: command.label,
    path: command.path.replace("{id}", thing?.id ?? ""),
    id: thing?.id ?? null,
    version: thing?.version ?? null,
    unit: session.value.unit?.name ?? "",
    unit_id: session.value.unit?.id ?? "",
    body,
    seen: thing?.row ?? null,
    view: thing?.view ?? null,
    filled_at: new Date().toISOString(),
    state: "pending",
    tries: 0,
    problem: null,
    answer: null,
  }
}

function byField(problem: Problem | null, language: Language): Errors {
  const errors = problem?.errors ?? []
  return Object.fromEntries(errors.map((error) => [error.field, error[language]]))
}
