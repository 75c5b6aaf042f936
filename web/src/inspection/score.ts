/** What an inspection comes to so far. The service decides in the end, by the same arithmetic. */

export interface Item {
  code: string
  text_zh: string
  text_en: string
  points: string
  veto: boolean
  severity: string
  category: string
}

export interface Answer {
  code: string
  judgement: string
  /** Those given; empty: all for what is met, else none. */
  points: string
  note: string
  place: string
  photos: string[]
}

/** `score`, `full`: of what is judged and applies; `passed`: null while nothing tells. */
export interface Score {
  score: string
  full: string
  passAt: string
  passed: boolean | null
  left: Item[]
  failed: Item[]
  veto: boolean
}

export type Answers = ReadonlyMap<string, Answer>

const MET = "met"
const NOT_MET = "not_met"
const NOT_APPLICABLE = "not_applicable"
/** Points have one decimal and shares at most four, so that whole numbers hold both exactly. */
const TENTHS = 10
const SHARES = 10_000

/** `share` of the full points passes; null where the rule is not known. */
export function scoreOf(items: Item[], answers: Answers, share: string | null): Score {
  const applying = items.filter((item) => applies(answers.get(item.code)))
  const full = sum(applying.map((item) => tenths(item.points)))
  const score = sum(applying.map((item) => given(item, answers.get(item.code)!)))
  const failed = applying.filter((item) => answers.get(item.code)?.judgement === NOT_MET)
  const veto = failed.some((item) => item.veto)
  const part = share === null ? null : Math.round(Number(share) * SHARES)
  return {
    score: shownTenths(score),
    full: shownTenths(full),
    passAt: part === null || !full ? "" : String(Number(((full * part) / SHARES / TENTHS).toFixed(2))),
    passed: veto ? false : part === null || !full ? null : score * SHARES >= full * part,
    left: items.filter((item) => !whole(item, answers.get(item.code))),
    failed,
    veto,
  }
}

/** Whether an answer says all that the rule asks of it: whatever is not met is explained. */
export function whole(item: Item, answer: Answer | undefined): boolean {
  if (!answer?.judgement) return false
  if (answer.judgement === MET) return true
  return !!answer.note.trim() && !wrongPoints(item, answer)
}

/** Points given although something is not met must be fewer than all. */
export function wrongPoints(item: Item, answer: Answer): boolean {
  if (!answer.points) return false
  return !/^\d+(\.\d)?$/.test(answer.points) || tenths(answer.points) >= tenths(item.points)
}

export function isMet(answer: Answer | undefined): boolean {
  return answer?.judgement === MET
}

export function isNotMet(answer: Answer | undefined): boolean {
  return answer?.judgement === NOT_MET
}

function applies(answer: Answer | undefined): boolean {
  return !!answer?.judgement && answer.judgement !== NOT_APPLICABLE
}

function given(item: Item, answer: Answer): number {
  if (answer.points && !wrongPoints(item, answer)) return tenths(answer.points)
  return isMet(answer) ? tenths(item.points) : 0
}

function tenths(points: string): number {
  return Math.round(Number(points) * TENTHS)
}

function shownTenths(amount: number): string {
  return String(amount / TENTHS)
}

function sum(all: number[]): number {
  return all.reduce((total, one) => total + one, 0)
}
