/** Alerts as they arrive: kept up to date by the service's stream of events. */
import { computed, ref, shallowRef } from "vue"
import { Refusal, Unreachable, ask } from "@/api/http"
import type { Language } from "@/api/http"
import type { Row } from "@/references"
import { unitId } from "@/api/session"

const STREAM = "/api/reporting/alerts/stream"
const UNRESOLVED = "open,acknowledged,explained"
const EVENTS = ["AlertRaised", "AlertClimbed", "AlertAcknowledged", "AlertExplained", "AlertResolved"]

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
  rule: Record<Language, string> | null
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

/** Reads what is unresolved and listens to what comes; the browser reconnects by itself. */
export function watchAlerts(): void {
  const source = new EventSource(STREAM)
  source.onopen = () => {
    live.value = true
    void load()
  }
  source.onerror = () => {
    live.value = false
  }
  for (const type of EVENTS) {
    source.addEventListener(type, (event) => {
      const told = JSON.parse((event as MessageEvent<string>).data) as Told
      take([told.alert])
      if (type === "AlertRaised") news.value = told.alert
    })
  }
}

export async function load(): Promise<void> {
  try {
    const path = `/api/reporting/alerts?status=${UNRESOLVED}&sort=-raised_at&limit=200&unit=${unitId.value}`
    const { data } = await ask<{ items: AlertRow[] }>(path)
    known.value = new Map()
    take(data.items)
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
  }
}

function take(rows: AlertRow[]): void {
  known.value = new Map([...known.value, ...rows.map((row) => [row.id, row] as const)])
}
