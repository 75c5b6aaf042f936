/** Who is signed in, the posts they hold, and the unit that they work for now. */
import { computed, ref } from "vue"
import { isAway } from "./away"
import { type Language, Unreachable, ask, carry, whenSignedOut } from "./http"

export interface Unit {
  id: string
  code: string
  name: string
  level: string
}

export interface Post {
  role: string
  label: Record<Language, string>
  since: string
  until: string | null
  unit: Unit
}

export interface Session {
  signed_in: boolean
  language: Language
  subject: string
  name: string
  csrf: string
  administrator: boolean
  posts_known: boolean
  posts: Post[]
  units: Unit[]
  unit: Unit | null
}

const NOBODY: Session = {
  signed_in: false, language: "zh", subject: "", name: "", csrf: "", administrator: false,
  posts_known: true, posts: [], units: [], unit: null,
} // prettier-ignore

export const session = ref<Session>(NOBODY)

/** Signed out, or the session is over, while the application was open. */
export const expired = ref(false)

export const unitId = computed(() => session.value.unit?.id ?? "")

whenSignedOut(() => {
  expired.value = session.value.signed_in
})

/** Whoever was signed in last, for when there is no network to ask. */
const LAST = "houqin-session"

/** Asks who is signed in; without network it is whoever was last, so that forms still open. */
export async function loadSession(): Promise<void> {
  const { subject } = session.value
  try {
    const { data } = await ask<Session>("/session")
    if (!subject || data.subject === subject) take({ ...NOBODY, ...data })
    else if (data.signed_in) location.assign("/") // nothing that is open here is theirs
    else expired.value = true
  } catch (error) {
    if (!isAway(error)) throw error
    const last = localStorage.getItem(LAST)
    if (last) take(JSON.parse(last) as Session)
  }
}

export function forgetSession(): void {
  localStorage.removeItem(LAST)
}

export async function workFor(unit: Unit): Promise<void> {
  await change("/session/unit", { unit: unit.id })
}

export async function speak(language: Language): Promise<void> {
  session.value = { ...session.value, language }
  await change("/session/language", { language }).catch((error: unknown) => {
    if (!(error instanceof Unreachable)) throw error
  })
}

export function signIn(): void {
  const to = location.pathname + location.search
  const query = new URLSearchParams({ to, language: session.value.language })
  location.assign(`/auth/sign-in?${query}`)
}

async function change(path: string, body: unknown): Promise<void> {
  const { data } = await ask<Session>(path, { method: "POST", body })
  take({ ...NOBODY, ...data })
}

function take(fresh: Session): void {
  session.value = fresh
  expired.value = false
  carry(fresh.csrf)
  if (fresh.signed_in) localStorage.setItem(LAST, JSON.stringify(fresh))
  else forgetSession()
}
