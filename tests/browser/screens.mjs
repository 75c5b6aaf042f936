// `make screenshots`: every page as people see it, at both sizes and in both languages, into
// build/screens. Needs a running demo. HOUQIN_PICTURES=folder: also the few of the README, packed.
import { mkdir, readdir, writeFile } from "node:fs/promises"
import { PORTAL, SIZES, context, open, signIn } from "./browser.mjs"
import { byPerson, resolved, shown } from "./pages.mjs"

const folder = new URL("../../build/screens/", import.meta.url)
const PICTURES = process.env.HOUQIN_PICTURES
const IN_README = ["today-phone", "repair-phone", "inspection-phone", "requisition-phone", "menu-desk", "figures-desk"]

const assets = await readdir(new URL("../../build/web/assets/", import.meta.url))
const FONT = `/assets/${assets.find((name) => /^noto-sans-sc.*\.css$/.test(name))}`

await mkdir(folder, { recursive: true })
const browser = await open()
for (const size of Object.keys(SIZES)) {
  for (const language of ["zh", "en"]) {
    const stranger = await context(browser, { size, language, bypassCSP: true })
    for (const [who, pages] of byPerson()) {
      const page = await context(browser, { size, language })
      await signIn(page, who)
      for (const { page: name, path, signed_out } of await resolved(page, pages)) {
        const seen = signed_out ? stranger : page
        await seen.goto(PORTAL + path)
        await shown(seen)
        await typeset(seen)
        await shoot(seen, `${name.replaceAll(" ", "-")}-${size}-${language}`)
      }
      for (const error of new Set(page.errors)) console.log(size, language, error)
      await page.context().close()
    }
    await stranger.context().close()
  }
}
await browser.close()

/** A desk fetches the web font after the page, a phone has Chinese type of its own: a browser without
 * a screen has none, so that its phone gets the same. */
async function typeset(page) {
  await page.evaluate((href) => {
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }))
    document.body.style.fontFamily = `"Noto Sans SC Variable", ${getComputedStyle(document.body).fontFamily}`
  }, FONT)
  await page.waitForFunction(() => [...document.fonts].some((font) => font.status === "loaded"))
  await page.evaluate(() => document.fonts.ready)
}

async function shoot(page, name) {
  await page.screenshot({ path: new URL(`${name}.png`, folder).pathname })
  if (PICTURES && IN_README.some((one) => name.startsWith(one))) await pack(page, name)
}

/** As WebP, which the browser itself makes: a third of the size. */
async function pack(page, name) {
  const devtools = await page.context().newCDPSession(page)
  const { data } = await devtools.send("Page.captureScreenshot", { format: "webp", quality: 82 })
  await writeFile(`${PICTURES}/${name}.webp`, Buffer.from(data, "base64"))
}
