/**
 * Signing out: what the device holds of a person goes with them. It is noted first and finished
 * when the application is next opened, so that neither a closed tab nor a missing network leaves
 * the next person at this device in the former one's place.
 */
import { Refusal, Unreachable, ask, carry } from "@/api/http"
import { isAway } from "@/api/away"
import { type Session, forgetSession, session } from "@/api/session"
import { forgetUsed } from "@/shell/used"
import { clear } from "./store"
import { tellOtherTabs } from "./tabs"

interface Leaving {
  subject: string
  except: "unsent" | "nothing"
  /** Whether the portal has ended the session, too. */
  ended: boolean
}

const NOTE = "houqin-leaving"

/** Signs out here and at the provider; `except`: what stays for whoever signs in by the same name. */
export async function signOut(except: "unsent" | "nothing"): Promise<void> {
  const leaving = { subject: session.value.subject, except, ended: false }
  note(leaving)
  await remove(leaving)
  tellOtherTabs()
  location.assign(await end(leaving))
}

/** Ends what was begun before; false where the network is missing, so that nobody is signed in. */
export async function finishLeaving(): Promise<boolean> {
  const leaving = JSON.parse(localStorage.getItem(NOTE) ?? "null") as Leaving | null
  if (!leaving) return true
  await remove(leaving)
  try {
    const { data } = await ask<Session>("/session")
    if (data.signed_in && data.subject === leaving.subject && !leaving.ended) {
      carry(data.csrf)
      location.assign(await end(leaving))
      return false
    }
  } catch (error) {
    if (isAway(error)) return false
    throw error
  }
  localStorage.removeItem(NOTE)
  return true
}

function note(leaving: Leaving): void {
  localStorage.setItem(NOTE, JSON.stringify(leaving))
}

async function remove({ subject, except }: Leaving): Promise<void> {
  forgetSession()
  forgetUsed(subject)
  await clear(subject, except)
}

/** Ends the session at the portal; where the way leads from there. */
async function end(leaving: Leaving): Promise<string> {
  try {
    const { data } = await ask<{ to: string }>("/auth/sign-out", { method: "POST" })
    note({ ...leaving, ended: true })
    return data.to
  } catch (error) {
    if (error instanceof Refusal) note({ ...leaving, ended: true }) // it was over already
    else if (!(error instanceof Unreachable)) throw error
    return "/"
  }
}
