/**
 * Lets index.html ask for the script of the page in the address at once: found by the application
 * only after its own script has come, it would be one more wait on a slow line.
 */
import { readFileSync } from "node:fs"
import type { Plugin, Rolldown } from "vite"

/** A page with a script of its own: its path up to what varies (`figures/`), and where it is written. */
const LAZY = /path: "\/([\w-]+\/?)[^"]*", component: \(\) => import\("@\/([\w/]+\.vue)"\)/g
const PLACE = "const pages = {}"

export function pagesFirst(): Plugin {
  return {
    name: "pages-first",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle }) {
        if (!bundle) return html // while developing there are no such files
        const chunks = Object.values(bundle).filter((one) => one.type === "chunk")
        const routes = readFileSync(new URL("../src/router.ts", import.meta.url), "utf8").matchAll(LAZY)
        const pages = Object.fromEntries([...routes].map(([, path, file]) => [path, filesOf(file!, chunks, html)]))
        if (!html.includes(PLACE)) throw new Error(`index.html lacks: ${PLACE}`)
        return html.replace(PLACE, `const pages = ${JSON.stringify(pages)}`)
      },
    },
  }
}

/** The page's script and what it needs beyond what index.html itself names. */
function filesOf(file: string, chunks: Rolldown.OutputChunk[], html: string): string[] {
  const own = chunks.find((one) => one.facadeModuleId?.endsWith(`/src/${file}`))
  if (!own) throw new Error(`no script for ${file}`)
  const files = [own.fileName, ...own.imports, ...(own.viteMetadata?.importedCss ?? [])]
  return files.map((one) => `/${one}`).filter((one) => !html.includes(one))
}
