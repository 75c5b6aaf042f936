/** What somebody has begun to fill in, kept as they type. */
import { forgetFiles } from "@/files/device"
import { withRoom } from "./room"
import { type Draft, database } from "./store"

export function draftName(command: string, id: string | null): string {
  return `${command}:${id ?? ""}`
}

export async function draftOf(name: string): Promise<Draft | undefined> {
  return await (await database()).get("drafts", name)
}

export async function saveDraft(draft: Draft): Promise<void> {
  await withRoom(async () => (await database()).put("drafts", JSON.parse(JSON.stringify(draft))))
}

export async function dropDraft(name: string): Promise<void> {
  const gone = await draftOf(name)
  await (await database()).delete("drafts", name)
  await forgetFiles(gone?.value)
}

/** The drafts of whoever is signed in, latest first. */
export async function drafts(): Promise<Draft[]> {
  const all = await (await database()).getAll("drafts")
  return all.sort((a, b) => b.saved_at.localeCompare(a.saved_at))
}
