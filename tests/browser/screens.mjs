// `make screenshots`: every page as people see it, at both sizes and in both languages, into
// build/screens. Needs a running demo. HOUQIN_PICTURES=folder: also the few of the README, packed.
import { mkdir, writeFile } from "node:fs/promises"
import { PORTAL, SIZES, context, open, signIn } from "./browser.mjs"
import { pages, shown } from "./pages.mjs"

const folder = new URL("../../build/screens/", import.meta.url)
const WHO = process.env.HOUQIN_WHO ?? "administrator"
const PICTURES = process.env.HOUQIN_PICTURES
const IN_README = ["figures-desk", "requisition-desk", "today-phone", "form-phone", "detail-phone"]

await mkdir(folder, { recursive: true })
const browser = await open()
for (const size of Object.keys(SIZES)) {
  for (const language of ["zh", "en"]) {
    const page = await context(browser, { size, language })
    const stranger = await context(browser, { size, language })
    await signIn(page, WHO)
    for (const { page: name, path, signed_out } of await pages(page)) {
      const seen = signed_out ? stranger : page
      await seen.goto(PORTAL + path)
      await shown(seen)
      // At a desk the web font comes after the page.
      if (size === "desk" && !path.startsWith("/public")) await seen.waitForFunction(() => [...document.fonts].some((font) => font.status === "loaded"))
      await seen.evaluate(() => document.fonts.ready)
      await shoot(seen, `${name.replaceAll(" ", "-")}-${size}-${language}`)
    }
    for (const error of new Set(page.errors)) console.log(size, language, error)
    await page.context().close()
    await stranger.context().close()
  }
}
await browser.close()

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
