// Packs what is built, once, so that the portal need not do it for every reader.
import { readFile, readdir, writeFile } from "node:fs/promises"
import { brotliCompressSync, gzipSync } from "node:zlib"

const folder = new URL("../../build/web/", import.meta.url)
const TEXT = /\.(js|css|html|svg|webmanifest)$/
const SMALL = 1024

for (const name of await readdir(folder, { recursive: true })) {
  if (!TEXT.test(name)) continue
  const path = new URL(name, folder)
  const content = await readFile(path)
  if (content.length < SMALL) continue
  await writeFile(`${path.pathname}.gz`, gzipSync(content, { level: 9 }))
  await writeFile(`${path.pathname}.br`, brotliCompressSync(content))
}
