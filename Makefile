# 后勤 Houqin. `make` or `make help` lists the targets. Nothing but Python ≥ 3.13 is needed.
PYTHON ?= python3
BIN := .venv/bin
WHO ?= principal
INSTANCE ?= local
SCENARIO ?=
ONCE ?=
F ?=
SEED ?=
MINUTES ?=
ROUNDS ?=
TO ?=
SERVICE ?=
FILE ?=
BUG ?=
export SCENARIO ONCE

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev web up demo test screenshots web-budget faults record teeth bench contracts
.PHONY: backup restore token lock clean
.SILENT:

help: ## 显示本帮助 · this help
	printf '后勤 Houqin\n\n'
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) \
	  | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

setup: ## 准备 .venv · make .venv with everything needed to run
	$(PYTHON) deploy/local/bootstrap.py

setup-dev: ## 同上，另加测试工具 · the same, with the tools of tests and checks
	$(PYTHON) deploy/local/bootstrap.py --dev

web: setup ## 编译门户网页（已是最新则立即结束）· build the portal's pages, unless they are up to date
	$(BIN)/python -m deploy.local.web

demo: web ## 演示：启动全部并录入示例学年 · everything, with the example years (SCENARIO=… ONCE=1)
	exec $(BIN)/python -m deploy.local.demo

up: web ## 只启动各部分 · start every part, without example data (INSTANCE=…)
	exec $(BIN)/python -m deploy.local.supervisor up --instance $(INSTANCE)

test: setup-dev ## 全部测试（真实的 Postgres 与 Kafka）· every test, on real Postgres and Kafka
	exec $(BIN)/python -m deploy.local.check

screenshots: setup-dev web ## 门户各页截图（build/screens）· pictures of the portal's pages
	exec $(BIN)/python -m tests.browser.demo_pages

web-budget: setup-dev web ## 门户各页的大小与速度（build/web.json）· weigh and time the portal's pages
	exec $(BIN)/python -m tests.browser.demo_pages budget

faults: setup-dev ## 故障演练 · break everything and check it (F=F4 SEED=7 MINUTES=10 ROUNDS=5)
	exec $(BIN)/python -m tests.faults $(if $(F),--fault $(F)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ROUNDS),--rounds $(ROUNDS))

record: setup-dev ## 长时间故障演练 · all faults in turn, on the record (SEED=7 MINUTES=35)
	exec $(BIN)/python -m tests.faults --seed $(or $(SEED),7) --minutes $(or $(MINUTES),35)

teeth: setup-dev ## 植入缺陷，检验演练 · plant bugs one by one; the faults must catch each (BUG=horizon)
	exec $(BIN)/python -m tests.faults.planted $(BUG)

bench: setup-dev ## 性能测量 · measure the speed
	exec $(BIN)/python -m bench

backup: setup ## 备份运行中的后勤 · back up the running instance (INSTANCE=… HOUQIN_BACKUP=/disk)
	$(BIN)/python -m deploy.local.backup --instance $(INSTANCE)

restore: setup ## 恢复已停止的后勤 · restore a stopped instance (TO='2026-11-21 10:00' SERVICE=…)
	exec $(BIN)/python -m deploy.local.restore --instance $(INSTANCE) --to '$(TO)' \
	  $(if $(SERVICE),--service $(SERVICE)) $(if $(FILE),--file $(FILE))

contracts: setup ## 生成接口、事件和权限契约 · write contracts/ anew for review
	$(BIN)/python -m contracts

token: setup ## 取访问令牌 · print an access token (WHO=principal)
	$(BIN)/python -m deploy.local.token $(WHO)

lock: setup-dev ## 重新锁定依赖版本 · write requirements/*.lock anew
	cd requirements && for name in run dev; do \
	  env -u PIP_FIND_LINKS ../$(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate \
	    --no-header --allow-unsafe -o $$name.lock $$name.in || exit 1; done

clean: ## 删除全部运行数据 · delete the state of all stopped instances (downloads are kept)
	if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local.supervisor clean; fi
