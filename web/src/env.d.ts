declare module "*.vue" {
  import type { DefineComponent } from "vue"
  const component: DefineComponent<object, object, unknown>
  export default component
}
interface Window {
  /** What index.html has asked for already; null: nobody answered. */
  early?: Record<string, Promise<Response | null>>
}
declare module "@fontsource-variable/noto-sans-sc"
