/**
 * A record's files go before it: whatever of them the platform lacks, piece by piece, so that a
 * line that breaks costs one piece and not the whole.
 */
import { shallowRef } from "vue"
import { catalogue } from "@/api/catalogue"
import { Refusal, address, ask } from "@/api/http"
import type { Waiting } from "@/offline/outbox"
import { filesIn } from "./device"

interface Progress {
  stored: boolean
  piece_bytes: number
  missing: number[]
}

/** How many files of which record have been sent, while it is being sent. */
export const sending = shallowRef<{ key: string; sent: number; count: number } | null>(null)

/** Sends the files that a record names; throws as `ask` does. */
export async function sendFiles(record: Waiting): Promise<void> {
  const files = await filesIn(record.body)
  if (!files.length) return
  const unit = await unitOf(record)
  try {
    for (const [sent, file] of files.entries()) {
      sending.value = { key: record.key, sent, count: files.length }
      await sendFile(file.sha256, new Blob([file.bytes]), unit)
    }
  } finally {
    sending.value = null
  }
}

async function sendFile(sha256: string, file: Blob, unit: string, again = true): Promise<void> {
  const announced = { sha256, size_bytes: file.size, unit }
  let { data: left } = await ask<Progress>("/portal/files", { method: "POST", body: announced })
  const size = left.piece_bytes
  try {
    for (const number of left.missing) {
      const piece = file.slice(number * size, (number + 1) * size)
      left = (await ask<Progress>(`/portal/files/${sha256}/pieces/${number}`, { method: "PUT", file: piece })).data
    }
  } catch (error) {
    // Another tab has finished it, or what was there has gone: what is missing is asked anew.
    if (!again || !(error instanceof Refusal) || error.problem.slug !== "upload_unknown") throw error
    await sendFile(sha256, file, unit, false)
  }
}

/** The unit whose people shall see the files: the record's own. */
async function unitOf(record: Waiting): Promise<string> {
  const known = record.body.organisation ?? record.seen?.organisation ?? (await ownerOf(record))
  return String(known ?? record.unit_id)
}

async function ownerOf(record: Waiting): Promise<unknown> {
  const view = catalogue.value?.views[record.view ?? ""]
  if (!record.id || !view) return undefined
  const { data } = await ask<Record<string, unknown>>(address(view.detail, {}, record.id))
  const row = Array.isArray(data.items) ? (data.items[0] as Record<string, unknown> | undefined) : data
  return row?.organisation
}
