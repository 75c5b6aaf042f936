// The way in and out at a provider that is not ours and knows nothing of us. Run by test_browser.py.
import assert from "node:assert/strict"
import { test } from "node:test"
import { PORTAL, context, open, violations } from "../browser.mjs"

test("somebody signs in at another provider, sees where they work, and signs out", async () => {
  const browser = await open()
  const page = await context(browser, { size: "phone" })
  try {
    await page.goto(PORTAL)
    await page.getByRole("button", { name: "登录", exact: true }).click()
    await page.waitForURL((url) => url.origin !== PORTAL)
    await page.locator('input[name="sub"]').fill("principal")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "赵德润，您好" }).waitFor()
    await page.getByText("一小").first().waitFor()
    assert.deepEqual(await violations(page), [])
    await page.getByRole("button", { name: "赵德润" }).click()
    await page.getByRole("button", { name: "退出登录", exact: true }).click()
    await page.waitForResponse((answer) => answer.url().includes("/auth/sign-out"))
    await page.goto(PORTAL)
    await page.getByRole("button", { name: "登录", exact: true }).waitFor()
    assert.deepEqual(page.errors, [])
  } finally {
    await browser.close()
  }
})
