// Every generated form of every service, worked on the running platform: it opens and says
// everything in both languages, shows at a field what is wrong, and what is filled in reaches the
// service and is decided there. Which forms there are, the catalogue says.
import assert from "node:assert/strict"
import { readFile, readdir } from "node:fs/promises"
import { after, before, test } from "node:test"
import { PORTAL, context, open, signIn } from "./browser.mjs"
import { day, isHidden, steps } from "./filling.mjs"

const CJK = /[\u4e00-\u9fff]/
/** What only programs call things: `needed_by`, `form.choose`, `RaiseRequisition`, `undefined`. */
const IDENTIFIER = /\b[a-z]+_[a-z_]+\b|\b(?:form|list|outcome|wrong|detail)\.[a-z]\w*|\b(?:[A-Z][a-z]+){2,}\b|\bundefined\b|\bNaN\b|\[object /

/** In this order, because what comes later is done to what came before; all else follows. */
const FIRST = [
  "RegisterUnit", "AppointStaff", "SetTerm", "AdoptBudget", "RaiseRequisition", "RegisterCard",
  "DraftChecklist", "PublishChecklist", "CarryOutInspection", "ScheduleInspection", "DefineDish",
  "DraftMenu",
] // prettier-ignore

/** What the fields alone do not say: values that fit what is there already. `null`: left empty. */
const [HEAD] = process.env.HOUQIN_EVERYBODY.split(",")
const CODE = process.env.HOUQIN_EVERYBODY_CODE
const MONDAY = day((8 - new Date(`${day()}T00:00Z`).getUTCDay()) % 7 || 7)
const OWN = {
  RegisterUnit: { code: `${CODE}-01`, parent_code: CODE, level: "campus" },
  SetTerm: { last_day: day(60) },
  PublishRule: { slug: "organisation.visits", since: day(30), values: '{"visits_per_month": 2, "months_off": [7, 8]}' },
  WithdrawRule: { slug: "organisation.visits", since: day(30) },
  RequestErasure: { subject: "nobody" },
  AppointStaff: { person: "somebody" },
  AdoptMap: { geojson: map(CODE) },
  AdoptBudget: { "lines.0.amount_cny": "5000" },
  AssignArea: { organisation: "Hilltop Township", schools: "Hilltop School" },
  SendTransfer: { to_unit: "Hilltop Township", cards: "Trial" },
  LendAssets: { cards: "Spare", borrower: "somebody", due_on: day(7) },
  DrawInspections: { organisation: "Hilltop Township", schools: "Hilltop School" },
  PlanInspectionRoute: { organisation: "Hilltop Township", schools: "Hilltop School" },
  CarryOutInspection: { "inspectors.0": HEAD },
  ScheduleInspection: { "inspectors.0": HEAD },
  DefineDish: { kind: "staple" },
  ReviseDish: { kind: "staple" },
  DraftMenu: { week: MONDAY, "days.0.day": MONDAY },
  ChangeMenu: { "days.0.day": MONDAY },
}

/** A map on which one unit is a square. */
function map(code) {
  const ring = [[113, 25], [114, 25], [114, 26], [113, 26], [113, 25]]
  const shape = { type: "Feature", properties: { code }, geometry: { type: "Polygon", coordinates: [ring] } }
  return JSON.stringify({ type: "FeatureCollection", features: [shape] })
}

/** Most forms are entered here, one after the other; what the rest is refused for depends on them. */
const ENTERED_MIN = 55

let browser, refusals
const people = []

before(async () => {
  browser = await open()
  refusals = await declared()
  for (const name of process.env.HOUQIN_EVERYBODY.split(",")) people.push(await ready(name))
})
after(async () => await browser.close())

/** What each command's decision may refuse, as the contracts say. */
async function declared() {
  const folder = new URL("../../contracts/", import.meta.url)
  const found = {}
  for (const name of (await readdir(folder)).filter((one) => one.endsWith(".openapi.json"))) {
    const { paths } = JSON.parse(await readFile(new URL(name, folder), "utf8"))
    for (const { post } of Object.values(paths)) if (post) found[post.operationId] = post["x-refusals"] ?? []
  }
  return found
}

/** Somebody signed in on a phone, working for the school that is theirs. */
async function ready(name) {
  const page = await context(browser, { size: "phone", serviceWorkers: "block" })
  await page.addInitScript({ path: new URL("inpage.js", import.meta.url).pathname })
  await signIn(page, name)
  const catalogue = await page.evaluate(async (unit) => {
    const { csrf } = await (await fetch("/session")).json()
    const headers = { "Houqin-Csrf": csrf, "Content-Type": "application/json" }
    await fetch("/session/unit", { method: "POST", headers, body: JSON.stringify({ unit }) })
    return await (await fetch("/portal/catalogue?lang=zh")).json()
  }, process.env.HOUQIN_EVERYBODY_UNIT)
  await page.goto(PORTAL)
  await page.locator("main h1").first().waitFor()
  return { page, catalogue }
}

/** Creations first, and what others build on before them. */
function inOrder(commands) {
  const rank = ({ name, creates }) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length + (creates ? 0 : 1))
  return Object.values(commands).toSorted((a, b) => rank(a) - rank(b))
}

/** By kind, the thing made last. */
const made = new Map()
/** By what became of it, the commands: entered, or the rule that refused them. */
const tally = {}

/** A thing that a command may be done to: the latest made here, else one that is there. */
async function thingFor(page, catalogue, { aggregate, views }) {
  if (made.has(aggregate)) return made.get(aggregate)
  const rows = await page.evaluate(async (paths) => {
    for (const path of paths) {
      const { items } = await (await fetch(`${path}?limit=1`)).json()
      if (items?.length) return items
    }
    return []
  }, views.map((view) => catalogue.views[view].path))
  return rows[0]?.id
}

/** The fields that a form shows, with those within them. */
function shown(fields) {
  return fields.filter((field) => !isHidden(field)).flatMap((field) => [field, ...(field.kind === "object" ? shown(field.fields) : [])])
}

/** What a form says that it should not, or does not say that it should. */
function unsaid(command, words, language) {
  const labels = shown(command.fields).map((field) => field.label)
  const missing = labels.filter((label) => !words.includes(label)).map((label) => `“${label}” is not shown`)
  const foreign = labels.filter((label) => CJK.test(label) !== (language === "zh"))
  const raw = words.match(IDENTIFIER)
  return [
    ...missing,
    ...foreign.map((label) => `“${label}” is not ${language}`),
    ...(raw ? [`an identifier is shown: ${raw[0]}`] : []),
    ...(language === "en" && CJK.test(words) ? [`Chinese in English: ${words.match(/.{0,20}[\u4e00-\u9fff]+.{0,20}/)[0]}`] : []),
  ]
}

/** Works a form through; what is wrong with it. */
async function worked({ page, catalogue }, command) {
  const id = command.params.length ? await thingFor(page, catalogue, command) : null
  if (id === undefined) return ["there is nothing to do it to"]
  const view = command.params.length ? `?view=${command.views[0]}` : ""
  const path = `/do/${command.name}${id ? `/${id}` : ""}${view}`
  const filled = steps(command.fields, OWN[command.name])
  const { words, refused, missing, outcome } = await page.evaluate(
    async ({ path, label, filled, late }) => {
      await inpage.open(path, label)
      const words = inpage.words()
      // What must be there is missing; where nothing must, it happened later than now.
      if (late) inpage.type(inpage.control("occurred_at"), "2099-01-01T08:00")
      await inpage.tick()
      const refused = await inpage.send()
      if (late && !refused.entered) inpage.type(inpage.control("occurred_at"), "")
      const missing = []
      for (const step of filled) {
        const why = await inpage.act(step)
        if (why) missing.push(`${step.path}: ${why}`)
      }
      return { words, refused, missing, outcome: refused.entered ? refused : await inpage.send() }
    },
    { path, label: command.label, filled, late: !command.fields.some((field) => field.required && !isHidden(field) && !(field.name === "organisation")) },
  )
  const fate = outcome.entered ? "entered" : (outcome.answer?.slug ?? "not sent")
  tally[fate] = [...(tally[fate] ?? []), command.name]
  if (outcome.answer?.id && command.creates) made.set(command.aggregate, outcome.answer.id)
  const errors = page.errors.splice(0)
  return [...errors, ...unsaid(command, words, "zh"), ...notAtField(refused), ...missing, ...undecided(command, outcome)]
}

function notAtField({ entered, fields }) {
  return entered ? ["sent as it was, and entered"] : fields.length ? [] : ["nothing is said at a field of what is missing"]
}

/** Entered, or refused by a rule of its own and in words: all else is a fault of the form. */
function undecided({ name }, { entered, answer, advice, fields }) {
  if (!answer) return [`nothing was sent: ${advice} ${fields.join("; ")}`]
  if (entered && answer.status < 300) return []
  const { status, slug, reason, errors } = answer
  if (!refusals[name].includes(slug)) return [`${status} ${slug}: ${reason} ${JSON.stringify(errors)}`]
  return advice.includes(reason) ? [] : [`refused with ${slug}, but the page does not say: ${reason}`]
}

test("every form opens, says at the field what is wrong, and reaches a decision", async () => {
  const faults = {}
  const began = Date.now()
  const commands = inOrder(people[0].catalogue.commands)
  for (const command of commands) {
    const person = people.find(({ catalogue }) => catalogue.commands[command.name].may)
    const found = person ? await worked(person, command).catch((error) => [String(error)]) : ["nobody here may do it"]
    if (found.length) faults[command.name] = found
  }
  console.log(`${commands.length} forms, ${Math.round((Date.now() - began) / commands.length)} ms each`)
  if (process.env.HOUQIN_TELL || Object.keys(faults).length) console.log(tally)
  assert.deepEqual(faults, {})
  assert.ok(tally.entered.length >= ENTERED_MIN, `only ${tally.entered.length} were entered`)
})

test("every form says everything in English, too", async () => {
  const [{ page }] = people
  await page.getByRole("button", { name: "EN", exact: true }).click()
  await page.locator("nav").getByRole("link", { name: "Today" }).waitFor()
  const { commands } = await page.evaluate(async () => await (await fetch("/portal/catalogue?lang=en")).json())
  const faults = {}
  for (const command of Object.values(commands)) {
    const id = command.params.length ? `/${made.get(command.aggregate) ?? crypto.randomUUID()}` : ""
    const words = await page.evaluate(async ({ path, label }) => {
      await inpage.open(path, label)
      return inpage.words()
    }, { path: `/do/${command.name}${id}`, label: command.label })
    const found = [...page.errors.splice(0), ...unsaid(command, words, "en")]
    if (found.length) faults[command.name] = found
  }
  assert.deepEqual(faults, {})
})
