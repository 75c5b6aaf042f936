/** A list's state is its address: whoever gets the link sees the same. */
import { computed } from "vue"
import { type LocationQueryRaw, useRoute, useRouter } from "vue-router"
import type { Field, View } from "@/api/catalogue"
import { chooseColumns, chosenColumns } from "@/shell/used"

const COLUMNS_SHOWN = 7
const PAGE = 50

export function useListQuery(view: View) {
  const route = useRoute()
  const router = useRouter()

  const one = (name: string): string => String(route.query[name] ?? "")

  const filters = computed(() => {
    const pairs = view.filters.map((name) => [name, one(name).split(",").filter(Boolean)] as const)
    return Object.fromEntries(pairs.filter(([, values]) => values.length))
  })
  const columns = computed<Field[]>(() => {
    const chosen = one("columns") ? one("columns").split(",") : chosenColumns(view.name)
    const known = view.columns.filter((column) => chosen.includes(column.name))
    return known.length ? known : usual(view)
  })
  const asked = computed(() => ({
    q: one("q"),
    sort: one("sort"),
    cursor: one("cursor"),
    limit: PAGE,
    ...Object.fromEntries(Object.entries(filters.value).map(([name, all]) => [name, all.join(",")])),
  }))

  /** Changes the address; whatever else is asked for begins at the first page. */
  function change(fresh: Record<string, string>): void {
    const query: LocationQueryRaw = { ...route.query, cursor: "", ...fresh }
    const said = Object.entries(query).filter(([, value]) => value !== "" && value !== null)
    void router.push({ query: Object.fromEntries(said) })
  }

  function choose(names: string[]): void {
    chooseColumns(view.name, names)
    change({ columns: names.join(",") })
  }

  function sortBy(name: string): void {
    const now = one("sort")
    change({ sort: now === name ? `-${name}` : now === `-${name}` ? "" : name })
  }

  return { one, filters, columns, asked, change, choose, sortBy }
}

/** The columns that tell most: what names the thing, then the rest in its order, without ids. */
export function usual(view: View): Field[] {
  const telling = view.columns.filter(
    (column) => !["id", "object", "list", "longtext", "file"].includes(column.kind),
  )
  const first = telling.filter((column) => view.title.includes(column.name))
  const rest = telling.filter((column) => !view.title.includes(column.name))
  return [...first, ...rest].slice(0, COLUMNS_SHOWN)
}
