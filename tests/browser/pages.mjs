// The pages that are weighed and pictured, as budget.json lists them: a new page has its row there,
// with who sees it if not everybody's `WHO`.
import { readFile } from "node:fs/promises"

export const budget = JSON.parse(await readFile(new URL("budget.json", import.meta.url), "utf8"))
const WHO = process.env.HOUQIN_WHO ?? "administrator"
const ONLY = process.env.HOUQIN_ONLY?.split(",")
const PERIOD = encodeURIComponent(process.env.HOUQIN_PERIOD ?? "2011/2012-1")

/** The pages asked for (HOUQIN_ONLY: some of them), by who looks at them. */
export function byPerson() {
  const chosen = budget.pages.filter(({ page }) => !ONLY || ONLY.includes(page))
  return Map.groupBy(chosen, ({ who }) => who ?? WHO)
}

/** Pages with the addresses of things that are there, and with the period of the example, or
 * HOUQIN_PERIOD. */
export async function resolved(signedIn, pages) {
  const made = pages.map(async (one) => ({ ...one, path: (one.of ? await found(signedIn, one) : one.path).replace("{period}", PERIOD) }))
  return await Promise.all(made)
}

/** The address of the first thing of a list, by its id or another member. */
async function found(signedIn, { path, of, by = "id" }) {
  const first = await signedIn.evaluate(async ({ of, by }) => (await (await fetch(of)).json()).items[0]?.[by], { of, by })
  if (!first) throw new Error(`nothing under ${of}`)
  return path.replace("{first}", first)
}

/** The page is there: its heading, and what it has asked for. */
export async function shown(page) {
  await page.locator("h1").first().waitFor()
  await page.waitForLoadState("networkidle")
}
