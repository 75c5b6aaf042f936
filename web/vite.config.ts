import vue from "@vitejs/plugin-vue"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vite"
import { pagesFirst } from "./scripts/pages-first.ts"
import { VitePWA } from "vite-plugin-pwa"

/** The paths that the portal answers itself: never the application, never from a cache. */
const SERVED = ["/api", "/auth", "/session", "/sessions", "/portal", "/public", "/go", "/health", "/ready", "/metrics"]

const portal = process.env.HOUQIN_PORTAL ?? "http://127.0.0.1:8000"

export default defineConfig({
  plugins: [
    vue(),
    pagesFirst(),
    VitePWA({
      // A new version waits until its user takes it: a form is never reloaded under their hands.
      registerType: "prompt",
      injectRegister: false,
      manifest: {
        name: "后勤 Houqin",
        short_name: "后勤",
        lang: "zh-CN",
        display: "standalone",
        start_url: "/",
        background_color: "#f4f7f5",
        theme_color: "#0b6e66",
        icons: [
          { src: "/icons/houqin-192.png", sizes: "192x192", type: "image/png" },
          { src: "/icons/houqin-512.png", sizes: "512x512", type: "image/png" },
          { src: "/icons/houqin.svg", sizes: "any", type: "image/svg+xml", purpose: "any maskable" },
        ],
      },
      workbox: {
        globPatterns: ["**/*.{js,css,html,svg,png}"],
        globIgnores: ["**/chart-*.js"],
        inlineWorkboxRuntime: true,
        navigateFallback: "/index.html",
        // A label leads to its thing without network, too: the application knows the way (/go).
        navigateFallbackDenylist: SERVED.filter((path) => path !== "/go").map((path) => new RegExp(`^${path}(/|$)`)),
        runtimeCaching: [
          {
            // Fonts come in a hundred small pieces by character: kept once they were needed.
            urlPattern: ({ url }) => /^\/assets\/.*\.(woff2|js)$/.test(url.pathname),
            handler: "CacheFirst",
            options: { cacheName: "pieces", expiration: { maxEntries: 200 } },
          },
        ],
      },
    }),
  ],
  resolve: { alias: { "@": fileURLToPath(new URL("src", import.meta.url)) } },
  define: {
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_OPTIONS_API__: false,
  },
  build: {
    outDir: "../build/web",
    emptyOutDir: true,
    target: "es2020",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    // A browser asks six things at a time of one place: what every page needs is one file, so that
    // the first questions to the portal need not wait behind small ones.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "app", tags: ["$initial"] }] } } },
  },
  server: {
    proxy: Object.fromEntries(SERVED.map((path) => [path, { target: portal, xfwd: true }])),
  },
})
