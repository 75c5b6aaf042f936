/** How the services are doing, as each says it of itself. */
import { ask } from "@/api/http"

export type Light = "good" | "slow" | "bad"

export interface Check {
  name: string
  of: string
  light: Light
  value: number | null
  counted: "s" | "events" | "units" | "processes" | ""
  limit: number
  told: string[]
  runbook: string
}

export interface Parked {
  consumer: string
  topic: string
  key: string
  unit: string
  reason: string
  since: string
  events: number
  retry: boolean
}

export interface ServiceHealth {
  name: string
  answered_ms: number | null
  /** Null: it does not answer. */
  state: {
    release: string
    light: Light
    checks: Check[]
    workers: { process: string; release: string; leads: boolean; silent_s: number }[]
    parked: Parked[]
    backup: { at: string | null; bytes: number | null; archived: boolean | null }
  } | null
}

export interface Health {
  at: string
  release: string
  services: ServiceHealth[]
}

export type Runbook = Record<string, { kind: "zh" | "en" | "code"; text: string }[]>

export async function healthNow(): Promise<Health> {
  return (await ask<Health>("/portal/state")).data
}

export async function runbookNow(): Promise<Runbook> {
  return (await ask<Runbook>("/portal/runbook")).data
}

export function lightOf(one: ServiceHealth): Light {
  return one.state?.light ?? "bad"
}
