// `make web-budget`: what each page weighs and how soon it is there, on a slow phone and at a desk,
// into build/web.json. Needs a running demo. A cold browser each time: nothing kept, no worker; its
// network and processor slowed by the browser itself, as Lighthouse does with `devtools` throttling.
//   kb_gz       script and style fetched until the page is quiet, packed, before fonts
//   lcp_ms      when the largest text or picture was painted
//   settled_ms  when the page's own part changed for the last time: with its data, whatever paints
//   tbt_ms      what tasks took beyond 50 ms each after the first paint, until the page was quiet
import { writeFile } from "node:fs/promises"
import { PORTAL, context, open, signIn, violations, weight } from "./browser.mjs"
import { budget, byPerson, resolved, shown } from "./pages.mjs"

const RUNS = Number(process.env.HOUQIN_RUNS ?? budget.runs)
const RESULT = process.env.HOUQIN_RESULT ?? "web.json"
/** Lighthouse's bound: what of a task goes beyond it blocks whoever taps meanwhile. */
const TASK_MS = 50
const MEASURES = ["kb_gz", "lcp_ms", "settled_ms", "tbt_ms", "axe_violations"]

/** Runs in the page before anything else does. */
function watch() {
  globalThis.measured = { lcp: 0, settled: 0, tasks: [] }
  const seen = (type, act) => new PerformanceObserver((list) => list.getEntries().forEach(act)).observe({ type, buffered: true })
  seen("largest-contentful-paint", (entry) => (globalThis.measured.lcp = entry.startTime))
  seen("longtask", (entry) => globalThis.measured.tasks.push([entry.startTime, entry.duration]))
  const element = (node) => (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement)
  const within = ({ target, addedNodes }) => element(target)?.closest("main") || [...addedNodes].some((one) => element(one)?.querySelector("main"))
  const changed = (changes) => changes.some(within) && (globalThis.measured.settled = performance.now())
  new MutationObserver(changed).observe(document, { subtree: true, childList: true, characterData: true })
}

async function slowed(page, { cpu, kbit_s, latency_ms }) {
  const devtools = await page.context().newCDPSession(page)
  const bytes_s = (kbit_s * 1000) / 8
  await devtools.send("Network.enable")
  await devtools.send("Network.emulateNetworkConditions", { offline: false, latency: latency_ms, downloadThroughput: bytes_s, uploadThroughput: bytes_s })
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: cpu })
  return async () => await devtools.send("Emulation.setCPUThrottlingRate", { rate: 1 })
}

/** One cold load by somebody who is signed in, unless the page is for others: ms and kB. */
async function load(browser, shell, cookies, { path, signed_out }, looked) {
  const page = await context(browser, { size: shell, serviceWorkers: "block" })
  try {
    if (!signed_out) await page.context().addCookies(cookies)
    await page.addInitScript(watch)
    const unslowed = await slowed(page, budget.shells[shell])
    await page.goto(PORTAL + path)
    await shown(page)
    const { lcp, settled, tasks, painted } = await page.evaluate(() => ({
      ...globalThis.measured,
      painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    }))
    const blocking = tasks.filter(([at, took]) => at + took > painted).reduce((sum, [, took]) => sum + Math.max(0, took - TASK_MS), 0)
    const kb_gz = (await weight(page)) / 1000
    await unslowed()
    const found = looked ? await violations(page) : []
    found.forEach((one) => console.log(one))
    return { kb_gz, lcp_ms: lcp, settled_ms: settled, tbt_ms: blocking, axe_violations: found.length }
  } finally {
    await page.context().close()
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

async function measured(browser, shell, cookies, asked) {
  const { page, kind } = asked
  const loads = []
  for (let run = 0; run < RUNS; run++) loads.push(await load(browser, shell, cookies, asked, run === 0))
  const found = Object.fromEntries(MEASURES.map((name) => [name, Math.round(median(loads.map((one) => one[name])))]))
  found.axe_violations = loads[0].axe_violations
  const limits = { axe_violations: 0, ...budget.limits[kind][shell] }
  const over_budget = Object.entries(limits).filter(([name, limit]) => found[name] > limit).map(([name]) => name)
  told(page, shell, ...Object.values(found), over_budget.length ? `over: ${over_budget}` : "")
  return { page, shell, ...found, over_budget }
}

function told(page, shell, ...rest) {
  console.log(page.padEnd(20), shell.padEnd(6), ...rest.map((one) => String(one).padStart(10)))
}

const browser = await open()
const rows = []
told("page", "shell", ...MEASURES)
for (const shell of Object.keys(budget.shells)) {
  for (const [who, pages] of byPerson()) {
    const guide = await context(browser, { size: shell })
    await signIn(guide, who)
    const cookies = await guide.context().cookies()
    for (const one of await resolved(guide, pages)) rows.push(await measured(browser, shell, cookies, one))
    await guide.context().close()
  }
}
await browser.close()
await writeFile(new URL(`../../build/${RESULT}`, import.meta.url), `${JSON.stringify({ pages: rows }, null, 1)}\n`)
process.exitCode = rows.some((one) => one.over_budget.length) ? 1 : 0
