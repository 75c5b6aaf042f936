// The client's types from the contracts of the services whose own answers the application reads.
// Forms, lists and details need none: they are drawn from the catalogue as it comes.
import { mkdir, readFile, writeFile } from "node:fs/promises"
import openapiTS, { astToString } from "openapi-typescript"

const contracts = new URL("../../contracts/", import.meta.url)
const folder = new URL("../src/api/generated/", import.meta.url)

await mkdir(folder, { recursive: true })
for (const service of ["reporting"]) {
  const document = JSON.parse(await readFile(new URL(`${service}.openapi.json`, contracts), "utf8"))
  const made = astToString(await openapiTS(document))
  await writeFile(new URL(`${service}.d.ts`, folder), made)
}
