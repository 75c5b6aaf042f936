/** What the platform can do, as the portal tells it: forms, lists and words are drawn from it. */
import { shallowRef } from "vue"
import { whenIdle } from "@/idle"
import { keep, kept } from "@/offline/store"
import { type Language, Unreachable, early } from "./http"

export interface Option {
  /** A number where the enumeration counts, such as the levels of units. */
  value: string | number
  label: string
}

export interface Reference {
  to: string
  view: string | null
  value: "id" | "key"
  /** Where to search what is no list of its own: people. */
  finder?: string
}

export interface Field {
  name: string
  label: string
  help?: string
  kind:
    | "text" | "longtext" | "integer" | "decimal" | "boolean" | "date" | "datetime" | "time"
    | "choice" | "ref" | "file" | "object" | "list" | "union" | "id" | "any"
  required: boolean
  nullable: boolean
  /** What a file must be. */
  file?: "photo" | "signature" | "document"
  default?: unknown
  example?: unknown
  unit?: { code: string; label: string }
  scale?: number
  min?: string | number
  max?: string | number
  above?: string | number
  below?: string | number
  min_length?: number
  max_length?: number
  min_items?: number
  max_items?: number
  pattern?: string
  options?: Option[]
  ref?: Reference
  item?: Field
  fields?: Field[]
  kinds?: Field[]
}

export interface Command {
  name: string
  service: string
  aggregate: string
  label: string
  help: string
  path: string
  params: string[]
  creates: boolean
  weighty: boolean
  sheet: boolean
  roles: string[]
  may: boolean
  views: string[]
  fields: Field[]
}

export interface View {
  name: string
  service: string
  aggregate: string
  label: string
  path: string
  detail: string
  history: string
  can: string
  many: boolean
  roles: string[]
  may: boolean
  columns: Field[]
  filters: string[]
  sorts: string[]
  search: string[]
  title: string[]
  commands: string[]
  /** The command as whose template the list can be given out, changed and imported again. */
  sheet: string | null
}

export interface Measure {
  name: string
  label: string
  unit: string
  dims: string[]
  balance: boolean
  ratio: boolean
}

/** Something that waits for somebody, declared by the service that it is about. */
export interface Task {
  name: string
  service: string
  label: string
  view: string
  filters: Record<string, string[]>
  role?: string
  level?: string
  person?: string
  sort?: string
  urgent?: string
}

/** What a bureau watches: a figure by unit, or the rows of a list counted by unit. */
export interface Panel {
  name: string
  service: string
  label: string
  measure?: string
  bad?: "high" | "low"
  view: string
  filters?: Record<string, string[]>
}

export interface Service {
  name: string
  label: string
  aggregates: { name: string; label: string; commands: string[]; views: string[] }[]
}

export interface Catalogue {
  lang: Language
  services: Service[]
  commands: Record<string, Command>
  views: Record<string, View>
  measures: Measure[]
  today?: Task[]
  /** What services have beside commands and lists, by its path within a service. */
  routes?: Record<string, { roles: string[]; may: boolean }>
  board?: Panel[]
  roles: Record<string, string>
  levels: Record<string, string>
}

export const catalogue = shallowRef<Catalogue | null>(null)

/** Without what a list says a second time in the other language (`why_zh` beside `why_en`). */
function inOneLanguage(found: Catalogue): Catalogue {
  const other = found.lang === "zh" ? "_en" : "_zh"
  const mine = (name: string): boolean => !name.endsWith(other)
  const views = Object.entries(found.views).map(([name, view]) => {
    const columns = view.columns.filter((column) => mine(column.name))
    return [name, { ...view, columns, title: view.title.filter(mine) }] as const
  })
  return { ...found, views: Object.fromEntries(views) }
}

interface Kept {
  tag: string | null
  catalogue: Catalogue
}

/** Takes what is kept from last time or what the portal answers, whichever is there first; then what
 * is new. Works without network. */
export async function loadCatalogue(language: Language): Promise<void> {
  const name = `catalogue:${language}`
  let old: Kept | undefined
  const before = kept<Kept>(name).then((found) => {
    if (!found) throw new Unreachable(name)
    old = found
    if (catalogue.value?.lang !== language) catalogue.value = found.catalogue
  })
  const fresh = asked(language).then(async (answer) => {
    const tag = answer.headers.get("etag")
    if (old && old.tag === tag) return
    const found = inOneLanguage((await answer.json()) as Catalogue)
    catalogue.value = found
    // Only the next visit, and the next time without network, has use for it.
    whenIdle(() => void keep(name, { tag, catalogue: found }).catch(() => {}))
  })
  await Promise.any([fresh, before]).catch(() => fresh)
}

/** The browser itself keeps it with its tag, and is told if nothing has changed. */
async function asked(language: Language): Promise<Response> {
  const begun = await early("/portal/catalogue")
  if (begun?.ok && begun.headers.get("content-language") === language) return begun
  const answer = await fetch(`/portal/catalogue?lang=${language}`)
  if (!answer.ok) throw new Unreachable(`catalogue: ${answer.status}`)
  return answer
}
