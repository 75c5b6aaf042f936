// The icons that installed applications show, drawn from the one vector.
import { readFile } from "node:fs/promises"
import { open } from "./browser.mjs"
const icons = new URL("../../web/public/icons/", import.meta.url)
const vector = await readFile(new URL("houqin.svg", icons), "utf8")
const browser = await open()
for (const side of [192, 512]) {
  const page = await browser.newPage({ viewport: { width: side, height: side } })
  await page.setContent(`<style>body{margin:0}svg{display:block;width:${side}px}</style>${vector}`)
  await page.screenshot({ path: new URL(`houqin-${side}.png`, icons).pathname, omitBackground: true })
}
await browser.close()
