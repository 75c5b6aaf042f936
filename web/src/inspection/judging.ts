/**
 * An inspection while it is carried out: each answer is kept on the device at once and sent on its
 * way through the outbox; what the service has taken is let go of here. The whole is concluded by
 * one command, with whatever has not been taken yet.
 */
import { computed, nextTick, onBeforeUnmount, onMounted, ref, shallowRef, watch } from "vue"
import { type Command, catalogue } from "@/api/catalogue"
import { Refusal, Unreachable } from "@/api/http"
import { session, unitId } from "@/api/session"
import { type Thing, recordOf, useFilling } from "@/forms/filling"
import { type Value, assembled } from "@/forms/model"
import { draftName, draftOf, dropDraft } from "@/offline/drafts"
import { type Waiting, discard, outbox, refresh, submit } from "@/offline/outbox"
import { type Known, checklistOf, inspectionOf, isOpen, itemsOf, keepInspection, shareOf } from "./known"
import { type Answer, scoreOf, whole } from "./score"

const JUDGE = "JudgeItems"
const VIEW = "inspection_register"
/** So long after the last answer it is sent: one record for what is answered in one go. */
const SEND_MS = 1500
const BLANK = { judgement: "", points: "", note: "", place: "", photos: [] }

/** `id` null: an inspection on the spot, which is sent as a whole. */
export function useJudging(id: string | null) {
  const { commands = {} } = catalogue.value ?? {}
  const command = commands[id ? "ConcludeInspection" : "CarryOutInspection"] as Command
  const judging = commands[JUDGE] as Command
  const thing = ref<Thing | null>(id ? { id, version: null, view: VIEW, row: null } : null)
  const given = id ? { results: [] } : { results: [], organisation: unitId.value, inspectors: [session.value.subject] }
  const filling = useFilling(command, thing, given)
  const { value, outcome, problem, busy } = filling
  const known = shallowRef<Known | null>(null)
  const error = shallowRef<unknown>(null)
  let timer: ReturnType<typeof setTimeout> | undefined

  /** What the service has not taken yet. */
  const own = computed(() => value.value.results as Answer[])
  const answers = computed(() => new Map([...(known.value?.judged ?? []), ...own.value].map((one) => [one.code, one])))
  const items = computed(() => known.value?.items ?? [])
  const score = computed(() => scoreOf(items.value, answers.value, known.value?.share ?? null))
  const mine = computed(() => outbox.value.filter((one) => id && one.id === id && [JUDGE, command.name].includes(one.command)))
  const underWay = computed(() => mine.value.filter((one) => one.command === JUDGE))

  async function open(): Promise<void> {
    await Promise.all([filling.restore(), refresh()])
    await takeOver()
    outcome.value = mine.value.find((one) => one.command === command.name && one.state === "pending") ?? null
    await load()
  }

  async function load(): Promise<void> {
    error.value = null
    try {
      if (id) await look(id)
      else if (value.value.checklist_version) await resume()
      await settle()
      later()
    } catch (problem) {
      if (!(problem instanceof Refusal || problem instanceof Unreachable)) throw problem
      error.value = problem
    }
  }

  async function look(inspection: string): Promise<void> {
    known.value = await inspectionOf(inspection)
    if (!isOpen(known.value.status) && !own.value.length) await filling.begin()
  }

  /** What was refused on its way is corrected here, not in a form of its own. */
  async function takeOver(): Promise<void> {
    for (const record of mine.value.filter((one) => one.state === "refused")) {
      adopt(record.body)
      problem.value = record.problem
      await discard(record.key)
    }
    const draft = id ? await draftOf(draftName(JUDGE, id)) : undefined
    if (draft) adopt(draft.value)
    if (draft) await dropDraft(draft.name)
  }

  function adopt({ results = [], ...others }: Value): void {
    value.value = { ...value.value, ...others }
    for (const one of results as Answer[]) put({ ...BLANK, ...one })
  }

  /** Begins an inspection on the spot by the checklist as it is in force. */
  async function begin(checklist: string): Promise<void> {
    const found = await checklistOf(checklist)
    value.value = { ...value.value, checklist, checklist_version: found.version }
    await take(found.title, found.kind, found.items)
  }

  async function resume(): Promise<void> {
    const { checklist, checklist_version } = value.value
    const items = await itemsOf(String(checklist), Number(checklist_version))
    const { title, kind } = await checklistOf(String(checklist))
    await take(title, kind, items)
  }

  async function take(title: string, kind: string, items: Known["items"]): Promise<void> {
    const unit = String(value.value.organisation)
    const share = await shareOf(unit, kind)
    known.value = { title, unit, status: "", inspectors: value.value.inspectors as string[], items, share, judged: [] }
  }

  async function judge(code: string, part: Partial<Answer>): Promise<void> {
    const before = answers.value.get(code) ?? { code, ...BLANK }
    const changed = part.judgement !== undefined && part.judgement !== before.judgement
    problem.value = null
    put({ ...before, ...(changed ? { points: "" } : {}), ...part })
    await nextTick()
    if (part.note === undefined && part.place === undefined) await filling.write()
    later()
  }

  function put(answer: Answer): void {
    const before = own.value.some((one) => one.code === answer.code)
    const results = before ? own.value.map((one) => (one.code === answer.code ? answer : one)) : [...own.value, answer]
    value.value = { ...value.value, results }
  }

  function later(): void {
    clearTimeout(timer)
    if (id && !outcome.value) timer = setTimeout(() => void push(), SEND_MS)
  }

  /** Sends what is answered, unless something is still on its way. */
  async function push(): Promise<void> {
    clearTimeout(timer)
    if (busy.value || outcome.value || problem.value || underWay.value.length) return
    const results = own.value.filter((one) => items.value.some((item) => item.code === one.code && whole(item, one)))
    if (results.length) await submit(recordOf(judging, thing.value, crypto.randomUUID(), assembled(judging.fields, { results })))
  }

  async function settle(): Promise<void> {
    for (const record of underWay.value) {
      if (record.state === "sent") await taken(record)
      else if (record.state === "refused") {
        problem.value = record.problem
        await discard(record.key)
      }
    }
  }

  /** Lets go of the answers that the service has, as far as they were not changed meanwhile. */
  async function taken(record: Waiting): Promise<void> {
    if (!id || !known.value) return
    const sent = (record.body.results as Answer[]).map((one) => ({ ...BLANK, ...one }))
    const codes = new Map(sent.map((one) => [one.code, asSent(one)]))
    const judged = [...known.value.judged.filter((one) => !codes.has(one.code)), ...sent]
    known.value = { ...known.value, judged }
    await keepInspection(id, known.value)
    value.value = { ...value.value, results: own.value.filter((one) => codes.get(one.code) !== asSent(one)) }
    await discard(record.key)
    if (own.value.length) later()
  }

  function asSent(answer: Answer): string {
    return JSON.stringify(assembled(judging.fields, { results: [answer] }))
  }

  async function conclude(): Promise<boolean> {
    clearTimeout(timer)
    // It took place now, not when the network came back.
    if (!navigator.onLine) value.value = { ...value.value, occurred_at: new Date().toISOString() }
    return await filling.send()
  }

  function leave(): void {
    void filling.write()
    void push()
  }

  watch(underWay, () => void settle())
  onMounted(async () => {
    addEventListener("pagehide", leave)
    await open()
  })
  onBeforeUnmount(() => {
    removeEventListener("pagehide", leave)
    leave()
  })

  return { ...filling, command, known, error, own, answers, items, score, load, start: begin, judge, conclude }
}
