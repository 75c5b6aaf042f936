/** A form while it is filled in: its draft, its key, what is wrong, and what became of it. */
import { type Ref, nextTick, ref, shallowRef, watch } from "vue"
import { useI18n } from "vue-i18n"
import type { Command } from "@/api/catalogue"
import type { Language, Problem } from "@/api/http"
import { session } from "@/api/session"
import { draftName, draftOf, dropDraft, saveDraft } from "@/offline/drafts"
import { type Waiting, discard, submit } from "@/offline/outbox"
import { type Errors, type Value, assembled, begun, isEmpty, wrong } from "./model"

const SAVING_MS = 250

export interface Thing {
  id: string
  version: number | null
  view: string | null
  row: Record<string, unknown> | null
}

export function useFilling(command: Command, thing: Ref<Thing | null>, given: Value) {
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

  async function restore(): Promise<void> {
    const draft = await draftOf(name)
    if (draft) {
      value.value = { ...value.value, ...draft.value }
      key = draft.key
      restored.value = draft.saved_at
      await nextTick()
    }
    watch(value, save, { deep: true })
  }

  function save(): void {
    touched = true
    clearTimeout(timer)
    timer = setTimeout(() => void write(), SAVING_MS)
  }

  async function write(): Promise<void> {
    if (!touched || outcome.value) return
    const saved_at = new Date().toISOString()
    await saveDraft({ name, command: command.name, id: thing.value?.id ?? null, key, version: thing.value?.version ?? null, value: value.value, saved_at })
  }

  async function begin(): Promise<void> {
    clearTimeout(timer)
    await dropDraft(name)
    key = crypto.randomUUID()
    restored.value = ""
    errors.value = {}
    problem.value = null
    outcome.value = null
    touched = false
    value.value = begun(command.fields, given)
    await nextTick()
    clearTimeout(timer)
  }

  /** Sends the record; true if there is nothing left to correct. */
  async function send(): Promise<boolean> {
    problem.value = null
    errors.value = wrong(command.fields, value.value, (slug, values) => t(slug, values ?? {}))
    if (!isEmpty(errors.value)) return false
    busy.value = true
    try {
      return await settled(await submit(recordOf(command, thing.value, key, assembled(command.fields, value.value))))
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
    errors.value = byField(made.problem, locale.value as Language)
    return false
  }

  return { value, errors, problem, outcome, restored, busy, restore, begin, send, write }
}

/** A command as it is written down before it is sent. */
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
