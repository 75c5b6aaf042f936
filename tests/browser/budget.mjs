// `make web-budget`: what each page weighs and how soon it is there, on a slow phone and at a desk,
// into build/web.json. Needs a running demo. A cold browser each time: nothing kept, no worker.
import { readFile, writeFile } from "node:fs/promises"
import { PORTAL, context, open, signIn, violations, weight } from "./browser.mjs"

const budget = JSON.parse(await readFile(new URL("budget.json", import.meta.url), "utf8"))
const RUNS = Number(process.env.HOUQIN_RUNS ?? budget.runs)
const ONLY = process.env.HOUQIN_ONLY?.split(",")
const WHO = process.env.HOUQIN_WHO ?? "administrator"
const PERIOD = encodeURIComponent(process.env.HOUQIN_PERIOD ?? "2011/2012-1")
const RESULT = process.env.HOUQIN_RESULT ?? "web.json"
/** Lighthouse's bound: what of a task goes beyond it blocks whoever taps meanwhile. */
const TASK_MS = 50

/** Runs in the page before anything else does. */
function watch() {
  globalThis.measured = { lcp: 0, tasks: [] }
  const seen = (type, act) => new PerformanceObserver((list) => list.getEntries().forEach(act)).observe({ type, buffered: true })
  seen("largest-contentful-paint", (entry) => (globalThis.measured.lcp = entry.startTime))
  seen("longtask", (entry) => globalThis.measured.tasks.push([entry.startTime, entry.duration]))
}

async function slowed(page, { cpu, kbit_s, latency_ms }) {
  const devtools = await page.context().newCDPSession(page)
  const bytes_s = (kbit_s * 1000) / 8
  await devtools.send("Network.enable")
  await devtools.send("Network.emulateNetworkConditions", { offline: false, latency: latency_ms, downloadThroughput: bytes_s, uploadThroughput: bytes_s })
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: cpu })
  return async () => await devtools.send("Emulation.setCPUThrottlingRate", { rate: 1 })
}

/** One cold load by somebody who is signed in: milliseconds and kilobytes. */
async function load(browser, shell, cookies, path) {
  const page = await context(browser, { size: shell, serviceWorkers: "block" })
  try {
    await page.context().addCookies(cookies)
    await page.addInitScript(watch)
    const unslowed = await slowed(page, budget.shells[shell])
    await page.goto(PORTAL + path)
    await page.locator("main h1").first().waitFor()
    await page.waitForLoadState("networkidle")
    const { lcp, tasks, painted } = await page.evaluate(() => ({
      ...globalThis.measured,
      painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    }))
    const blocking = tasks.filter(([at, took]) => at + took > painted).reduce((sum, [, took]) => sum + Math.max(0, took - TASK_MS), 0)
    const kb_gz = (await weight(page)) / 1000
    await unslowed()
    return { kb_gz, lcp_ms: lcp, tbt_ms: blocking, axe_violations: (await violations(page)).length }
  } finally {
    await page.context().close()
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

async function measured(browser, shell, cookies, { page, kind, path }) {
  const loads = []
  for (let run = 0; run < RUNS; run++) loads.push(await load(browser, shell, cookies, path))
  const middle = (name) => Math.round(10 * median(loads.map((one) => one[name]))) / 10
  const found = Object.fromEntries(["kb_gz", "lcp_ms", "tbt_ms", "axe_violations"].map((name) => [name, middle(name)]))
  const limits = { axe_violations: 0, ...budget.limits[kind][shell] }
  const over_budget = Object.entries(limits).filter(([name, limit]) => found[name] > limit).map(([name]) => name)
  console.log(`${page.padEnd(18)} ${shell.padEnd(6)}`, ...Object.values(found), over_budget.length ? `over: ${over_budget}` : "")
  return { page, shell, ...found, over_budget }
}

const browser = await open()
const pages = []
for (const shell of Object.keys(budget.shells)) {
  const guide = await context(browser, { size: shell })
  await signIn(guide, WHO)
  const cookies = await guide.context().cookies()
  for (const one of budget.pages) {
    if (ONLY && !ONLY.includes(one.page)) continue
    const first = one.of && (await guide.evaluate(async (of) => (await (await fetch(of)).json()).items[0]?.id, one.of))
    pages.push(await measured(browser, shell, cookies, { ...one, path: one.path.replace("{first}", first).replace("{period}", PERIOD) }))
  }
  await guide.context().close()
}
await browser.close()
await writeFile(new URL(`../../build/${RESULT}`, import.meta.url), `${JSON.stringify({ pages }, null, 1)}\n`)
process.exitCode = pages.some((one) => one.over_budget.length) ? 1 : 0
