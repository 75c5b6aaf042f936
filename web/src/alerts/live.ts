/** Alerts as they arrive: kept up to date by the service's stream of events. */
import { computed, ref, shallowRef, watch } from "vue"
import { Refusal, Unreachable, ask } from "@/api/http"
import type { Row } from "@/references"
import { unitId } from "@/api/session"

const STREAM = "/api/reporting/alerts/stream"
const UNRESOLVED = "open,acknowledged,explained"
const EVENTS = ["AlertRaised", "AlertClimbed", "AlertAcknowledged", "AlertExplained", "AlertResolved"]
/** So long, growing, until a stream that was refused is opened again. */
const AGAIN_MS = 1_000
const AGAIN_MS_MAX = 60_000
/** A burst of events is one reading of the list. */
const BURST_MS = 500

export type AlertRow = Row & {
  organisation: string
  severity: string
  status: string
  why_zh: string
  why_en: string
  raised_at: string
}

interface Told {
  alert: AlertRow
}

const known = shallowRef(new Map<string, AlertRow>())

/** The unresolved alerts, gravest and latest first. */
export const alerts = computed(() => {
  const weight: Record<string, number> = { critical: 0, high: 1 }
  const rank = (one: AlertRow): number => weight[one.severity] ?? 2
  return [...known.value.values()]
    .filter((one) => one.status !== "resolved")
    .sort((a, b) => rank(a) - rank(b) || b.raised_at.localeCompare(a.raised_at))
})
export const openAlerts = computed(() => alerts.value.filter((one) => one.status === "open").length)
export const live = ref(false)
/** What has arrived last, to be said aloud. */
export const news = shallowRef<AlertRow | null>(null)
/** Whether the list was read for the unit worked for now; `error`: why it could not be. */
export const read = ref(false)
export const error = shallowRef<unknown>(null)

let asked = 0
let taken = 0
let raised = ""
let soon: ReturnType<typeof setTimeout> | undefined

/** Reads what is unresolved and listens to what comes, for whatever unit is worked for. */
export function watchAlerts(): void {
  watch(unitId, () => {
    known.value = new Map()
    news.value = null
    read.value = false
    error.value = null
    void load()
  })
  listen(AGAIN_MS)
}

/** Cut off, the browser connects again by itself; refused (a 503, say), it gives up for good. */
function listen(wait_ms: number): void {
  const source = new EventSource(STREAM)
  let again_ms = wait_ms
  source.onopen = () => {
    live.value = true
    again_ms = AGAIN_MS
    void load()
  }
  source.onerror = () => {
    live.value = false
    if (source.readyState !== EventSource.CLOSED) return
    setTimeout(() => listen(Math.min(2 * again_ms, AGAIN_MS_MAX)), again_ms)
  }
  for (const type of EVENTS) {
    source.addEventListener(type, (event) => {
      if (type === "AlertRaised") raised = (JSON.parse((event as MessageEvent<string>).data) as Told).alert.id
      soon ??= setTimeout(() => void hear(), BURST_MS)
    })
  }
}

/** The stream tells of all units in one's scope: the list knows which of them belong here. */
async function hear(): Promise<void> {
  const fresh = raised
  soon = undefined
  raised = ""
  await load()
  news.value = known.value.get(fresh) ?? news.value
}

export async function load(): Promise<void> {
  const mine = ++asked
  const unit = unitId.value
  try {
    const path = `/api/reporting/alerts?status=${UNRESOLVED}&sort=-raised_at&limit=200&unit=${unit}`
    const { data } = await ask<{ items: AlertRow[] }>(path)
    // An answer that a later one has overtaken, or about another unit, comes too late.
    if (mine < taken || unit !== unitId.value) return
    taken = mine
    known.value = new Map(data.items.map((row) => [row.id, row]))
    read.value = true
    error.value = null
  } catch (problem) {
    if (!(problem instanceof Refusal || problem instanceof Unreachable)) throw problem
    if (unit === unitId.value) error.value = problem
  }
}
